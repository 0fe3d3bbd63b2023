//! The way of a frame on the GPU, with the stand-in for the driver.

use super::stand_in::StandIn;
use super::*;
use crate::frame::{ColorMatrix, ColorRange, Frame, PixelFormat, Plane, View, copy_raw};

fn layout(format: PixelFormat, width: u32, height: u32) -> FrameLayout {
    FrameLayout {
        format,
        width,
        height,
        matrix: ColorMatrix::Bt601,
        range: ColorRange::Limited,
        view: View::PLAIN,
    }
}

/// No two bytes near each other are alike.
fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251 * 13) as u8).collect()
}

fn frame(layout: FrameLayout, bytes: &[u8]) -> Frame<'_> {
    Frame {
        layout,
        planes: [0, 1001, 2003].map(|start| Plane {
            data: &bytes[start..],
            stride: 64,
        }),
    }
}

fn raw(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = vec![0; raw_len(&frame.layout)];
    copy_raw(frame, &mut bytes).unwrap();
    bytes
}

#[test]
fn planes_of_every_format_lose_their_gaps_behind_the_work_of_the_stream() {
    let Some(stand_in) = StandIn::open("planes_of_every_format") else {
        return;
    };
    let bytes = noise(4096);
    let foreign = stand_in.foreign(0);
    for format in PixelFormat::ALL {
        for (width, height, gap) in [(13, 7, 0), (13, 7, 5), (16, 10, 240), (1, 1, 3)] {
            let frame = frame(layout(format, width, height), &bytes);
            let expected = raw(&frame);
            let room = Room::new(0, 3, expected.len()).unwrap();
            room.upload(2, &vec![7; expected.len()]).unwrap();
            // Not copied yet: whoever does not wait for the stream finds something else.
            let uploaded = foreign.upload(&frame, gap);
            room.copy(1, &uploaded.frame()).unwrap();
            stand_in.assert_at_rest();
            let mut found = vec![0; expected.len()];
            room.download(1, &mut found).unwrap();
            assert_eq!(found, expected, "{format:?} {width}x{height}, gaps of {gap}");
            room.download(2, &mut found).unwrap();
            assert!(
                found.iter().all(|byte| *byte == 7),
                "the next slot stays as it was"
            );
            stand_in.assert_at_rest();
        }
    }
}

/// The stream of another context is refused by the driver, and so is nothing else: that of the frame's own was used above.
#[test]
fn what_the_gpu_refuses_is_an_error_that_leaves_nothing_behind() {
    let Some(stand_in) = StandIn::open("what_the_gpu_refuses") else {
        return;
    };
    let bytes = noise(4096);
    let frame = frame(layout(PixelFormat::I420, 13, 7), &bytes);
    let expected = raw(&frame);
    let [here, other] = [0, 1].map(|device| stand_in.foreign(device));
    let uploaded = here.upload(&frame, 3);
    let room = Room::new(0, 1, expected.len()).unwrap();
    let refused = |frame: &CudaFrame<'_>, words: &[&str]| {
        let reason = room.copy(0, frame).unwrap_err();
        for word in words {
            assert!(reason.contains(word), "{reason}");
        }
        stand_in.assert_at_rest();
    };
    let changed = |change: &dyn Fn(&mut [CudaPlane; 3])| {
        let mut planes = uploaded.planes;
        change(&mut planes);
        // SAFETY: the stand-in refuses what is not there.
        unsafe { CudaFrame::new(frame.layout, planes, here.stream.0) }
    };
    room.copy(0, &uploaded.frame()).unwrap();

    let there = other.upload(&frame, 3);
    // Only now may the stream do what it was asked for.
    Room::new(1, 1, expected.len())
        .unwrap()
        .copy(0, &there.frame())
        .unwrap();
    refused(&there.frame(), &["GPU 1", "GPU 0", "device-id"]);
    refused(&changed(&|planes| planes[1] = there.planes[1]), &["GPU 1"]);
    refused(
        &changed(&|planes| planes[0].address = 4096),
        &["cuPointerGetAttribute"],
    );
    refused(&changed(&|planes| planes[2].stride = 6), &["stride"]);
    refused(&changed(&|planes| planes[1].len -= 4), &["plane 1"]);
    // SAFETY: the stand-in refuses the stream.
    let foreign = unsafe { CudaFrame::new(frame.layout, uploaded.planes, other.stream.0) };
    refused(&foreign, &["cuMemcpy2DAsync", "400"]);
    let again = stand_in.foreign(0);
    let elsewhere = again.upload(&frame, 0);
    Room::new(0, 1, expected.len())
        .unwrap()
        .copy(0, &elsewhere.frame())
        .unwrap();
    refused(
        &changed(&|planes| planes[2] = elsewhere.planes[2]),
        &["several contexts"],
    );
    stand_in.refuse_copies(1);
    refused(&uploaded.frame(), &["cuMemcpy2DAsync", "801"]);
    // It gets over that.
    room.copy(0, &uploaded.frame()).unwrap();
    let mut found = vec![0; expected.len()];
    room.download(0, &mut found).unwrap();
    assert_eq!(found, expected);

    let small = Room::new(0, 1, expected.len() - 1).unwrap();
    let reason = small.copy(0, &uploaded.frame()).unwrap_err();
    assert!(reason.contains(&expected.len().to_string()), "{reason}");
    stand_in.refuse_copies(2);
    assert!(room.upload(0, &expected).is_err() && room.download(0, &mut found).is_err());
    stand_in.assert_at_rest();
}

#[test]
fn without_memory_or_gpu_there_is_no_room() {
    let Some(stand_in) = StandIn::open("without_memory_or_gpu_there_is_no_room") else {
        return;
    };
    stand_in.refuse_allocations(1);
    let reason = Room::new(0, 4, 100).err().unwrap();
    assert!(reason.contains("cuMemAlloc"), "{reason}");
    assert!(Room::new(0, 4, 100).is_ok());
    assert!(Room::new(0, usize::MAX, 100).is_err());
    for _ in 0..2 {
        let reason = Room::new(9, 1, 1).err().unwrap();
        assert!(reason.contains("cuDeviceGet"), "{reason}");
    }
    stand_in.assert_at_rest();
}

#[test]
fn a_driver_that_is_not_there_is_an_error() {
    let reason = Driver::load("libno-such-driver.so".as_ref()).err().unwrap();
    assert!(reason.contains("libno-such-driver.so"), "{reason}");
    // Not the driver.
    assert!(
        Driver::load("libm.so.6".as_ref())
            .err()
            .unwrap()
            .contains("cuInit")
    );
}
