//! Frames leave as they came.

use super::support::*;
use gst::prelude::*;

#[test]
fn the_buffer_itself_leaves() {
    let element = detector();
    let mut harness = harness(&element, false);
    let mut buffer = frame(3);
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_dts(FRAME * 2);
        buffer.set_offset_end(77);
        buffer.set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER);
    }
    let pointer = buffer.as_ptr();
    harness.push(buffer).unwrap();
    let buffer = harness.pull().unwrap();
    assert_eq!(buffer.as_ptr(), pointer);
    assert_eq!(buffer.pts(), Some(FRAME * 3));
    assert_eq!(buffer.dts(), Some(FRAME * 2));
    assert_eq!(buffer.duration(), Some(FRAME));
    assert_eq!((buffer.offset(), buffer.offset_end()), (3, 77));
    assert!(
        buffer
            .flags()
            .contains(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER)
    );
    assert_eq!(
        buffer.map_readable().unwrap().as_slice(),
        pixels(WIDTH, HEIGHT, 3)
    );
}

#[test]
fn a_buffer_that_others_hold_is_not_changed_and_its_pixels_not_copied() {
    let element = detector();
    let mut harness = harness(&element, false);
    let held = frame(3);
    harness.push(held.clone()).unwrap();
    let buffer = harness.pull().unwrap();
    assert_frame(&buffer, 3);
    assert_eq!(faces_on(&held), None);
    assert_eq!(buffer.peek_memory(0).as_ptr(), held.peek_memory(0).as_ptr());
}

#[test]
fn missing_and_backward_timestamps_are_kept() {
    let element = detector();
    let mut harness = harness(&element, false);
    let times = [Some(FRAME * 9), None, Some(FRAME), Some(FRAME)];
    for (index, pts) in times.into_iter().enumerate() {
        let mut buffer = frame(index as u64);
        buffer.get_mut().unwrap().set_pts(pts);
        harness.push(buffer).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    for (index, pts) in times.into_iter().enumerate() {
        let buffer = harness.pull().unwrap();
        assert_eq!((buffer.offset(), buffer.pts()), (index as u64, pts));
    }
}

#[test]
fn lists_of_buffers_are_taken_apart() {
    let element = detector();
    let mut harness = harness(&element, false);
    harness.push(frame(0)).unwrap();
    let list: gst::BufferList = (1..6).map(frame).collect();
    harness.srcpad().unwrap().push_list(list).unwrap();
    harness.push_event(gst::event::Eos::new());
    for index in 0..6 {
        assert_frame(&harness.pull().unwrap(), index);
    }
}

#[test]
fn faces_of_an_earlier_detector_are_replaced() {
    let element = detector();
    let mut harness = harness(&element, false);
    let mut buffer = frame(1);
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, WIDTH, HEIGHT)
        .build()
        .unwrap();
    let old = gstimg2pose::meta::FrameFaces::new(&info, faces_alone(9));
    gstimg2pose::meta::attach(buffer.get_mut().unwrap(), &old).unwrap();
    harness.push(buffer).unwrap();
    assert_frame(&harness.pull().unwrap(), 1);
}

/// Mapping such a buffer as a whole would replace its memories by a copy.
#[test]
fn a_plane_in_two_memories_leaves_in_its_two_memories() {
    let element = detector();
    let mut harness = harness(&element, false);
    let data = pixels(WIDTH, HEIGHT, 3);
    let mut buffer = gst::Buffer::from_mut_slice(data[..1000].to_vec());
    let second = gst::Memory::from_mut_slice(data[1000..].to_vec());
    buffer.get_mut().unwrap().append_memory(second);
    buffer.get_mut().unwrap().set_offset(3);
    let memories = |buffer: &gst::BufferRef| -> Vec<_> {
        buffer.iter_memories().map(|memory| memory.as_ptr()).collect()
    };
    let sent = memories(&buffer);
    harness.push(buffer).unwrap();
    let buffer = harness.pull().unwrap();
    assert_frame(&buffer, 3);
    assert_eq!(memories(&buffer), sent);
}
