//! Batches with frames that came from the memory of a GPU, with the stand-in for NVIDIA's driver and the network on the processor.

use super::tests::{SIDE, bound_to, options, picture};
use crate::cuda::stand_in::StandIn;
use crate::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use crate::memory::Memory;
use crate::model::Model;
use crate::options::Precision;
use crate::shapes::Shapes;
use crate::{Batch, Detector, Error};
use test_support::shipped_model;

const LAYOUT: FrameLayout = FrameLayout {
    format: PixelFormat::Nv12,
    width: SIDE as u32,
    height: SIDE as u32,
    matrix: ColorMatrix::Bt601,
    range: ColorRange::Limited,
    view: View::PLAIN,
};

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame {
        layout: LAYOUT,
        planes: [0, SIDE * SIDE, 0].map(|start| Plane {
            data: &bytes[start..],
            stride: SIDE,
        }),
    }
}

/// Where the frame of a slot comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Host,
    Device,
    /// The device refuses, and the slot is filled from the processor's memory.
    Refused,
    /// Its frame cannot be read.
    Nowhere,
}

struct Fixture {
    stand_in: StandIn,
    model: Model,
    pictures: Vec<Vec<u8>>,
}

impl Fixture {
    fn new(test: &str) -> Option<Self> {
        // Grey: luma, and chroma that is none.
        let pictures = [0, 1, 2, 0].into_iter().map(|seed| {
            let luma = picture(seed, SIDE, SIDE).pixels.into_iter().step_by(3);
            luma.chain(std::iter::repeat_n(128, SIDE * SIDE / 2)).collect()
        });
        Some(Self {
            stand_in: StandIn::open(test)?,
            model: Model::open(&shipped_model()).unwrap(),
            pictures: pictures.collect(),
        })
    }

    fn detector(&self, memory: &Memory, shapes: Shapes) -> Detector {
        bound_to(
            &self.model,
            options(SIDE as u32, 0.0),
            Precision::Fp32,
            shapes,
            Some(memory),
        )
    }

    fn fill(&self, batch: &mut Batch, from: &[Source]) {
        let foreign = self.stand_in.foreign(0);
        for (from, bytes) in from.iter().zip(&self.pictures) {
            let mut slot = batch.reserve().unwrap();
            let frame = frame(bytes);
            let uploaded = foreign.upload(&frame, 32);
            self.stand_in.refuse_copies(i32::from(*from == Source::Refused));
            match from {
                Source::Device => slot.copy_cuda(&uploaded.frame()).unwrap(),
                Source::Host => slot.convert(&frame).unwrap(),
                Source::Refused => {
                    let reason = slot.copy_cuda(&uploaded.frame()).unwrap_err();
                    assert!(reason.contains("cuMemcpy2DAsync"), "{reason}");
                    slot.convert(&frame).unwrap();
                }
                Source::Nowhere => {
                    let nothing = Frame {
                        planes: [Plane {
                            data: &[],
                            stride: SIDE,
                        }; 3],
                        ..frame
                    };
                    assert!(slot.convert(&nothing).is_err());
                }
            }
            // The upload of a frame that was not copied has not been waited for.
            drop(uploaded);
        }
        self.stand_in.assert_at_rest();
    }
}

#[test]
fn frames_that_came_on_the_gpu_have_the_faces_of_others() {
    use Source::{Device, Host, Nowhere, Refused};
    let Some(fixture) = Fixture::new("frames_that_came_on_the_gpu_have_the_faces_of_others") else {
        return;
    };
    for shapes in [Shapes::Free, Shapes::Few] {
        let mut detector = fixture.detector(&Memory::STAND_IN, shapes);
        assert!(detector.batch_maker().takes_cuda_frames(&LAYOUT));
        let mut batch = detector.new_batch(LAYOUT, 4).unwrap();
        fixture.fill(&mut batch, &[Host; 4]);
        let expected = detector.detect_batch(&batch).unwrap();
        for (index, faces) in expected[..3].iter().enumerate() {
            assert!(!faces.is_empty(), "nothing in picture {index}");
            assert!(
                !expected[..index].contains(faces),
                "picture {index} is like another"
            );
        }
        for from in [
            &[Device; 4][..],
            &[Device, Device, Device],
            &[Host, Device, Host, Device],
            &[Refused, Device],
            &[Device, Refused, Host],
            &[Device, Nowhere, Device],
            // What came on the GPU before is not taken for these.
            &[Host, Host, Host, Host],
            &[Device],
        ] {
            batch.clear();
            fixture.fill(&mut batch, from);
            for _ in 0..2 {
                let found = detector.detect_batch(&batch).unwrap();
                for (index, ((found, expected), from)) in found.iter().zip(&expected).zip(from).enumerate() {
                    assert!(
                        *from == Nowhere || found == expected,
                        "{shapes:?}, {from:?} in slot {index}"
                    );
                }
            }
            fixture.stand_in.assert_at_rest();
        }
        // The plugin moves frames of a batch that failed, or was given up.
        batch.clear();
        fixture.fill(&mut batch, &[Device, Host, Device]);
        let mut moved = detector.new_batch(LAYOUT, 2).unwrap();
        for slot in [2, 1] {
            moved.push_from(&batch, slot).unwrap();
        }
        let found = detector.detect_batch(&moved).unwrap();
        assert_eq!(found, [expected[2].clone(), expected[1].clone()]);
        moved.clear();
        fixture.stand_in.refuse_copies(1);
        let refused = moved.push_from(&batch, 0).unwrap_err();
        assert!(matches!(refused, Error::Gpu { .. }), "{refused}");
        assert!(moved.is_empty());
        // The frame from the processor cannot be brought to the others.
        fixture.stand_in.refuse_copies(1);
        let refused = detector.detect_batch(&batch).unwrap_err();
        assert!(refused.to_string().contains("GPU failed"), "{refused}");
        assert_eq!(detector.detect_batch(&batch).unwrap(), expected[..3]);
    }
}

#[test]
fn a_gpu_without_memory_leaves_frames_to_the_processor() {
    let Some(fixture) = Fixture::new("a_gpu_without_memory_leaves_frames_to_the_processor") else {
        return;
    };
    let mut detector = fixture.detector(&Memory::STAND_IN, Shapes::Few);
    let mut batch = detector.new_batch(LAYOUT, 2).unwrap();
    let foreign = fixture.stand_in.foreign(0);
    let frame = frame(&fixture.pictures[0]);
    let uploaded = foreign.upload(&frame, 0);
    fixture.stand_in.refuse_allocations(1);
    for _ in 0..2 {
        let mut slot = batch.reserve().unwrap();
        let reason = slot.copy_cuda(&uploaded.frame()).unwrap_err();
        assert!(reason.contains("cuMemAlloc"), "{reason}");
        slot.convert(&frame).unwrap();
    }
    assert_eq!(detector.detect_batch(&batch).unwrap().len(), 2);
}

#[test]
fn other_batches_take_no_frames_from_the_gpu() {
    let Some(fixture) = Fixture::new("other_batches_take_no_frames_from_the_gpu") else {
        return;
    };
    let foreign = fixture.stand_in.foreign(0);
    let frame = frame(&fixture.pictures[0]);
    let uploaded = foreign.upload(&frame, 0);
    let stand_in = fixture.detector(&Memory::STAND_IN, Shapes::Free);
    let host = fixture.detector(&Memory::HOST, Shapes::Free);
    let kept = stand_in.batch_maker().keeping_frames();
    let large = FrameLayout {
        width: 20 * SIDE as u32,
        height: 20 * SIDE as u32,
        ..LAYOUT
    };
    // What the processor shrinks before.
    assert!(!stand_in.batch_maker().takes_cuda_frames(&large));
    for maker in [host.batch_maker(), kept] {
        assert!(!maker.takes_cuda_frames(&LAYOUT));
        let mut batch = maker.new_batch(LAYOUT, 1).unwrap();
        let mut slot = batch.reserve().unwrap();
        let reason = slot.copy_cuda(&uploaded.frame()).unwrap_err();
        assert!(reason.contains("processor"), "{reason}");
        slot.convert(&frame).unwrap();
    }
    let mut batch = stand_in
        .new_batch(FrameLayout { width: 32, ..LAYOUT }, 1)
        .unwrap();
    let reason = batch.reserve().unwrap().copy_cuda(&uploaded.frame()).unwrap_err();
    assert!(reason.contains("the batch holds"), "{reason}");
}
