use gst_video::{VideoFormat, VideoFrameFlags, VideoInfo, VideoMeta};

use super::{read, write};

/// 6x4 pixels; the stride is 8 by default.
fn nv12() -> VideoInfo {
    gst::init().unwrap();
    VideoInfo::builder(VideoFormat::Nv12, 6, 4).build().unwrap()
}

fn buffer(bytes: std::ops::Range<u8>) -> gst::Buffer {
    gst::Buffer::from_mut_slice(bytes.collect::<Vec<u8>>())
}

fn append(buffer: &mut gst::Buffer, bytes: std::ops::Range<u8>) {
    let memory = gst::Memory::from_mut_slice(bytes.collect::<Vec<u8>>());
    buffer.get_mut().unwrap().append_memory(memory);
}

fn add_meta(
    buffer: &mut gst::Buffer,
    format: VideoFormat,
    [width, height]: [u32; 2],
    offsets: &[usize],
    strides: &[i32],
) {
    VideoMeta::add_full(
        buffer.get_mut().unwrap(),
        VideoFrameFlags::empty(),
        format,
        width,
        height,
        offsets,
        strides,
    )
    .unwrap();
}

fn with_meta(bytes: std::ops::Range<u8>, offsets: [usize; 2], strides: [i32; 2]) -> gst::Buffer {
    let mut buffer = buffer(bytes);
    add_meta(&mut buffer, VideoFormat::Nv12, [6, 4], &offsets, &strides);
    buffer
}

/// First byte of each row of each of the two planes.
fn rows(buffer: &gst::BufferRef) -> Result<Vec<u8>, String> {
    let rows = read(buffer, &nv12(), |planes| {
        let rows = |plane: usize, count: usize| {
            let plane = planes[plane];
            (0..count).map(move |row| plane.data[row * plane.stride])
        };
        rows(0, 4).chain(rows(1, 2)).collect()
    });
    rows.map_err(|error| error.to_string())
}

/// The same through a frame to write.
fn rows_to_write(buffer: &mut gst::BufferRef) -> Result<Vec<u8>, String> {
    let rows = write(buffer, &nv12(), |frame| {
        let mut rows = Vec::new();
        for (plane, count) in [(0, 4), (1, 2)] {
            let stride = frame.stride(plane);
            let plane = frame.plane(plane);
            assert_eq!(plane.len(), (count - 1) * stride + 6);
            rows.extend((0..count).map(|row| plane[row * stride]));
        }
        rows
    });
    rows.map_err(|error| error.to_string())
}

#[track_caller]
fn assert_rows(mut buffer: gst::Buffer, expected: [u8; 6]) {
    assert_eq!(rows(&buffer).unwrap(), expected);
    assert_eq!(rows_to_write(buffer.make_mut()).unwrap(), expected);
}

#[track_caller]
fn assert_refused(mut buffer: gst::Buffer, words: &str) {
    let error = rows(&buffer).unwrap_err();
    assert!(error.contains(words), "{error}");
    assert_eq!(rows_to_write(buffer.make_mut()).unwrap_err(), error);
}

#[test]
fn planes_without_a_video_meta() {
    assert_rows(buffer(0..48), [0, 8, 16, 24, 32, 40]);
}

#[test]
fn strides_and_offsets_of_the_video_meta_count() {
    assert_rows(with_meta(0..100, [2, 60], [12, 14]), [2, 14, 26, 38, 60, 74]);
    // Chroma first.
    assert_rows(with_meta(0..100, [50, 3], [6, 20]), [50, 56, 62, 68, 3, 23]);
}

#[test]
fn a_last_row_without_its_padding_is_enough() {
    assert_rows(with_meta(0..80, [0, 60], [12, 14]), [0, 12, 24, 36, 60, 74]);
    assert_refused(
        with_meta(0..79, [0, 60], [12, 14]),
        "plane 1 needs 20 bytes from offset 60",
    );
}

#[test]
fn planes_that_share_bytes() {
    assert_rows(with_meta(0..48, [0, 8], [8, 8]), [0, 8, 16, 24, 8, 16]);
}

#[test]
fn one_memory_for_each_plane() {
    let mut frame = buffer(0..32);
    append(&mut frame, 100..116);
    assert_rows(frame.copy(), [0, 8, 16, 24, 100, 108]);
    // They stay apart.
    rows_to_write(frame.make_mut()).unwrap();
    assert_eq!(frame.n_memory(), 2);
}

#[test]
fn a_plane_in_two_memories() {
    let mut frame = buffer(0..20);
    append(&mut frame, 20..48);
    // The buffer that is read leaves as it came.
    assert_eq!(rows(&frame).unwrap(), [0, 8, 16, 24, 32, 40]);
    assert_eq!(frame.n_memory(), 2);
    assert_eq!(rows_to_write(frame.make_mut()).unwrap(), [0, 8, 16, 24, 32, 40]);
}

#[test]
fn empty_memories_and_more_memories_than_planes() {
    let mut frame = gst::Buffer::new();
    append(&mut frame, 0..0);
    append(&mut frame, 0..32);
    append(&mut frame, 7..7);
    append(&mut frame, 100..116);
    append(&mut frame, 200..210);
    assert_rows(frame, [0, 8, 16, 24, 100, 108]);
}

#[test]
fn what_is_written_is_in_the_frame_and_in_no_other() {
    // Shared with another buffer, and read-only: both are copied. One memory and two.
    let read_only = || gst::Memory::from_slice(vec![9_u8; 48]);
    let shared = buffer(0..48);
    let mut frames = [gst::Buffer::new(), shared.copy(), gst::Buffer::new()];
    frames[0].get_mut().unwrap().append_memory(read_only());
    frames[2].get_mut().unwrap().append_memory(read_only());
    append(&mut frames[2], 100..148);
    add_meta(&mut frames[2], VideoFormat::Nv12, [6, 4], &[0, 50], &[6, 6]);
    for frame in &mut frames {
        let before = frame.copy();
        write(frame.make_mut(), &nv12(), |frame| {
            frame.plane(0)[1] = 77;
            frame.plane(1)[0] = 78;
        })
        .unwrap();
        let seen = read(frame, &nv12(), |planes| (planes[0].data[1], planes[1].data[0]));
        assert_eq!(seen.unwrap(), (77, 78));
        let other = read(&before, &nv12(), |planes| planes[0].data[1]).unwrap();
        assert_ne!(other, 77);
    }
    assert_eq!(rows(&shared).unwrap(), [0, 8, 16, 24, 32, 40]);
}

#[test]
fn a_meta_that_lies_is_refused() {
    assert_refused(
        buffer(0..40),
        "plane 1 needs 14 bytes from offset 32 on, but the buffer has 40",
    );
    assert_refused(gst::Buffer::new(), "plane 0 needs 30 bytes");
    assert_refused(with_meta(0..48, [0, 32], [-8, 8]), "negative stride (-8)");
    assert_refused(with_meta(0..48, [0, 32], [i32::MIN, 8]), "negative stride");
    assert_refused(
        with_meta(0..48, [0, 32], [5, 8]),
        "takes 6 bytes, but its stride is 5",
    );
    assert_refused(with_meta(0..48, [0, 32], [0, 8]), "its stride is 0");
    assert_refused(
        with_meta(0..48, [0, usize::MAX], [8, 8]),
        "plane 1 needs 14 bytes",
    );
    assert_refused(
        with_meta(0..48, [usize::MAX - 29, 0], [8, 8]),
        "plane 0 needs 30 bytes",
    );
    assert_refused(
        with_meta(0..48, [0, 32], [i32::MAX, 8]),
        "plane 0 needs 6442450947 bytes",
    );
    assert_refused(with_meta(0..48, [4096, 32], [8, 8]), "offset 4096");
}

#[test]
fn a_meta_for_another_frame_is_refused() {
    let frame = |format, size, offsets: &[usize], strides: &[i32]| {
        let mut frame = buffer(0..100);
        add_meta(&mut frame, format, size, offsets, strides);
        frame
    };
    assert_refused(
        frame(VideoFormat::I420, [6, 4], &[0, 32, 40], &[8, 4, 4]),
        "says I420, the caps NV12",
    );
    assert_refused(frame(VideoFormat::Gray8, [6, 4], &[0], &[8]), "says GRAY8");
    assert_refused(
        frame(VideoFormat::Nv12, [4, 4], &[0, 32], &[8, 8]),
        "is for 4x4 pixels, the caps say 6x4",
    );
    assert_refused(frame(VideoFormat::Nv12, [6, 2], &[0, 32], &[8, 8]), "6x2");
    // A frame whose edges do not count.
    assert_rows(
        frame(VideoFormat::Nv12, [8, 6], &[0, 64], &[8, 8]),
        [0, 8, 16, 24, 64, 72],
    );
}

#[test]
fn alpha_that_is_called_padding_is_no_other_format() {
    gst::init().unwrap();
    let info = VideoInfo::builder(VideoFormat::Rgbx, 2, 2).build().unwrap();
    let mut frame = buffer(0..16);
    add_meta(&mut frame, VideoFormat::Rgba, [2, 2], &[0], &[8]);
    assert!(read(&frame, &info, |_| ()).is_ok());
    let mut swapped = buffer(0..16);
    add_meta(&mut swapped, VideoFormat::Bgra, [2, 2], &[0], &[8]);
    assert!(read(&swapped, &info, |_| ()).is_err());
}
