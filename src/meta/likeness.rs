//! Whether faces are still where they were, by the look of them.
//!
//! Many elements drop ROIs though they leave the picture in its place: filters, and `videoflip` when it turns nothing. Others
//! drop them because they move it. Metas do not tell one from the other, pixels do: the record holds a small picture of each
//! face, and a reader compares.

use std::fmt::Write;

use gst_video::{VideoInfo, VideoMeta};

use super::FrameFaces;

/// Cells along each side of a face's box.
const CELLS: usize = 8;
/// Bytes that the small picture of a face takes.
const FACE: usize = CELLS * CELLS;
/// Samples along each side of a cell.
const SAMPLES: usize = 2;
/// Least difference of the brightest and the darkest cell; a flat picture looks alike everywhere.
const LEAST_CONTRAST: u8 = 24;
/// Least correlation with the face as it was.
const LEAST_LIKENESS: f64 = 0.9;
/// How much worse than here it has to look in other places and the other way round: the part of the difference that is
/// missing here.
const LEAST_ADVANTAGE: f64 = 0.5;

type Cells = [f64; FACE];

/// Small pictures of the faces in a frame of the format, one after the other, in hexadecimal: metas may have to be written down by GStreamer, which
/// knows how to write text. `None` if there are no faces, or the pixels
/// cannot be read as 8-bit samples.
pub(super) fn take(buffer: &gst::BufferRef, info: &VideoInfo, frame: &FrameFaces) -> Option<String> {
    // Mapping several memories copies them.
    if frame.faces.is_empty() || buffer.n_memory() != 1 {
        return None;
    }
    let map = buffer.map_readable().ok()?;
    let picture = Picture::new(buffer, &map, info)?;
    let mut text = String::with_capacity(frame.faces.len() * FACE * 2);
    for face in &frame.faces {
        for mean in picture.cells(face.bbox.map(f64::from))? {
            // Writing into a string does not fail.
            let _ = write!(text, "{:02x}", mean.round() as u8);
        }
    }
    Some(text)
}

/// The means that [`take`] wrote; `None` if it is something else.
fn means(text: &str) -> Option<Vec<u8>> {
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    let mean = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty()
        .then(|| digits.iter().map(mean).collect::<Option<_>>())
        .flatten()
}

/// Whether each face of the record, of which `taken` are the small pictures, is where scaling alone puts it in this frame.
/// `false` if that is not sure.
pub(super) fn is_in_place(
    buffer: &gst::BufferRef,
    info: &VideoInfo,
    recorded: &FrameFaces,
    taken: &str,
) -> bool {
    let Some(taken) = means(taken) else {
        return false;
    };
    if recorded.faces.is_empty() || taken.len() != recorded.faces.len() * FACE {
        return false;
    }
    let Ok(map) = buffer.map_readable() else {
        return false;
    };
    let Some(picture) = Picture::new(buffer, &map, info) else {
        return false;
    };
    let scale = [
        f64::from(info.width()) / f64::from(recorded.frame_width),
        f64::from(info.height()) / f64::from(recorded.frame_height),
    ];
    recorded
        .faces
        .iter()
        .zip(taken.chunks_exact(FACE))
        .all(|(face, taken)| {
            let [left, top, right, bottom] = face.bbox.map(f64::from);
            let bbox = [
                left * scale[0],
                top * scale[1],
                right * scale[0],
                bottom * scale[1],
            ];
            let mut was = [0.0; FACE];
            was.iter_mut()
                .zip(taken)
                .for_each(|(was, byte)| *was = f64::from(*byte));
            is_here(&picture, &was, taken, bbox)
        })
}

fn is_here(picture: &Picture<'_>, was: &Cells, taken: &[u8], bbox: [f64; 4]) -> bool {
    let contrast = taken
        .iter()
        .max()
        .zip(taken.iter().min())
        .map_or(0, |(max, min)| max - min);
    if contrast < LEAST_CONTRAST {
        return false;
    }
    let Some(here) = picture.cells(bbox) else {
        return false;
    };
    let likeness = correlation(was, &here);
    if likeness < LEAST_LIKENESS {
        return false;
    }
    let turned = [
        turn(&here, true, false),
        turn(&here, false, true),
        turn(&here, true, true),
    ];
    let elsewhere = around(bbox).into_iter().filter_map(|bbox| picture.cells(bbox));
    let next_best = elsewhere
        .chain(turned)
        .map(|other| correlation(was, &other))
        .fold(-1.0, f64::max);
    1.0 - likeness <= (1.0 - LEAST_ADVANTAGE) * (1.0 - next_best) && likeness > next_best
}

/// The box moved by a cell to each side, larger and smaller by one.
fn around([left, top, right, bottom]: [f64; 4]) -> [[f64; 4]; 6] {
    let (x, y) = ((right - left) / CELLS as f64, (bottom - top) / CELLS as f64);
    [
        [-x, 0.0, -x, 0.0],
        [x, 0.0, x, 0.0],
        [0.0, -y, 0.0, -y],
        [0.0, y, 0.0, y],
        [-x, -y, x, y],
        [x, y, -x, -y],
    ]
    .map(|[l, t, r, b]| [left + l, top + t, right + r, bottom + b])
}

/// Mirrored left to right, upside down, or both.
fn turn(cells: &Cells, across: bool, down: bool) -> Cells {
    std::array::from_fn(|index| {
        let (x, y) = (index % CELLS, index / CELLS);
        let x = if across { CELLS - 1 - x } else { x };
        let y = if down { CELLS - 1 - y } else { y };
        cells[y * CELLS + x]
    })
}

/// Pearson's correlation coefficient, -1 to 1: brightness and contrast do not count. 0 where one of them is flat.
fn correlation(a: &Cells, b: &Cells) -> f64 {
    let mean = |cells: &Cells| cells.iter().sum::<f64>() / FACE as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        product += a * b;
        square_a += a * a;
        square_b += b * b;
    }
    let norm = (square_a * square_b).sqrt();
    if norm > 0.0 { product / norm } else { 0.0 }
}

/// The samples of one component of a frame: luma, or green.
struct Picture<'a> {
    data: &'a [u8],
    offset: usize,
    stride: usize,
    step: usize,
    width: u32,
    height: u32,
}

impl<'a> Picture<'a> {
    fn new(buffer: &gst::BufferRef, data: &'a [u8], info: &VideoInfo) -> Option<Self> {
        let format = info.format_info();
        let component = usize::from(format.is_rgb());
        if format.is_complex()
            || format.is_tiled()
            || format.has_palette()
            || format.depth().get(component) != Some(&8)
        {
            return None;
        }
        let plane = *format.plane().get(component)? as usize;
        let meta = buffer.meta::<VideoMeta>();
        let (offset, stride) = match &meta {
            Some(meta) => (*meta.offset().get(plane)?, *meta.stride().get(plane)?),
            None => (*info.offset().get(plane)?, *info.stride().get(plane)?),
        };
        Some(Self {
            data,
            offset: offset.checked_add(*format.poffset().get(component)? as usize)?,
            stride: usize::try_from(stride).ok()?,
            step: usize::try_from(*format.pixel_stride().get(component)?).ok()?,
            width: info.width(),
            height: info.height(),
        })
    }

    /// Means of the cells of a box, row by row; `None` if a sample is not in the memory. Beyond the border are the pixels at it.
    fn cells(&self, [left, top, right, bottom]: [f64; 4]) -> Option<Cells> {
        const SIDE: usize = CELLS * SAMPLES;
        let at = |low: f64, high: f64, index: usize, side: u32| {
            let place = low + (high - low) * (index as f64 + 0.5) / SIDE as f64;
            // What is negative or NaN becomes 0.
            (place as u64).min(u64::from(side.saturating_sub(1))) as usize
        };
        let mut cells = [0.0; FACE];
        for row in 0..SIDE {
            let line = at(top, bottom, row, self.height).checked_mul(self.stride)?;
            let start = self.offset.checked_add(line)?;
            for column in 0..SIDE {
                let x = at(left, right, column, self.width).checked_mul(self.step)?;
                let sample = *self.data.get(start.checked_add(x)?)?;
                cells[row / SAMPLES * CELLS + column / SAMPLES] += f64::from(sample);
            }
        }
        Some(cells.map(|sum| sum / (SAMPLES * SAMPLES) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_likeness_is_nothing() {
        assert_eq!(means("00ff7f"), Some(vec![0, 255, 127]));
        assert_eq!(means(""), Some(vec![]));
        for text in ["0", "zz", "00f", "\u{e9}"] {
            assert_eq!(means(text), None, "{text}");
        }
    }

    #[test]
    fn brightness_and_contrast_do_not_count() {
        let cells: Cells = std::array::from_fn(|index| (index * index % 61) as f64);
        let darker = cells.map(|cell| 0.5 * cell + 10.0);
        assert!((correlation(&cells, &darker) - 1.0).abs() < 1e-12);
        assert!(correlation(&cells, &turn(&cells, true, false)) < 0.9);
        assert_eq!(correlation(&cells, &[7.0; FACE]), 0.0);
    }

    #[test]
    fn samples_outside_the_memory_are_none() {
        gst::init().unwrap();
        let info = VideoInfo::builder(gst_video::VideoFormat::Gray8, 64, 48)
            .build()
            .unwrap();
        let buffer = gst::Buffer::from_slice(vec![0u8; 64 * 20]);
        let map = buffer.map_readable().unwrap();
        let picture = Picture::new(&buffer, &map, &info).unwrap();
        assert!(picture.cells([0.0, 0.0, 40.0, 20.0]).is_some());
        assert!(picture.cells([0.0, 0.0, 40.0, 40.0]).is_none());
        // What is beyond the frame is its border.
        assert!(picture.cells([-50.0, -50.0, 0.0, 0.0]).is_some());
        assert!(picture.cells([f64::NAN; 4]).is_some());
    }
}
