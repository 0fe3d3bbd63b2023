//! Blending drawings into frames.
//!
//! GStreamer's function does the arithmetic. It takes every row that a drawing touches apart into four bytes a pixel and
//! puts it together again, all of it from the left edge of the frame to the right, and looks at each pixel of the drawing.
//! So it is shown only those tiles of the frame that something is drawn on, as frames of their own: copies, because a
//! frame may begin at any byte and have rows of any length, and its vector instructions end the process where a pixel
//! of four bytes does not lie at a multiple of four.

use gst::glib::{
    self,
    translate::{ToGlibPtr, from_glib},
};
use gst_video::{VideoFlags, VideoInfo, ffi};
use gst_video::{VideoOverlayComposition, VideoOverlayFormatFlags};

use super::area::Area;
use super::pixels::{FORMAT, PIXEL};
use crate::video::mapping::MappedFrame;

/// Side of a tile in pixels, a multiple of the pixels that share a chroma sample. With 4 and with 16 lines take a tenth longer.
const TILE: u32 = 8;

/// Memory that is kept from one frame to the next.
#[derive(Default)]
pub struct Blender {
    tiles: Vec<Area>,
    drawn: Vec<bool>,
    copy: Vec<u8>,
}

impl Blender {
    /// Lays a composition of the [`Painter`](super::painter::Painter) over the frame, of one of the formats that the
    /// detector takes. The pixels are those that [`VideoOverlayComposition::blend`] makes.
    ///
    /// # Errors
    /// Memory of the drawing cannot be mapped, or GStreamer refuses.
    pub fn blend(
        &mut self,
        frame: &mut MappedFrame<'_>,
        composition: &VideoOverlayComposition,
    ) -> Result<(), glib::BoolError> {
        for rectangle in composition.iter() {
            let (x, y, width, height) = rectangle.render_rectangle();
            let area = Area {
                x: x as u32,
                y: y as u32,
                width,
                height,
            };
            let pixels = rectangle.pixels_unscaled_raw(VideoOverlayFormatFlags::PREMULTIPLIED_ALPHA);
            let pixels = pixels.map_readable()?;
            let drawing = Drawing::new(&pixels, area)?;
            self.find_tiles(drawing.pixels, area);
            for tile in &self.tiles {
                blend_tile(frame, *tile, &drawing, &mut self.copy)?;
            }
        }
        Ok(())
    }

    /// The tiles of the frame on which the drawing has pixels that are not transparent, those beside each other as one.
    fn find_tiles(&mut self, pixels: &[u8], area: Area) {
        self.tiles.clear();
        let columns = area.x / TILE..(area.x + area.width).div_ceil(TILE);
        let rows = area.y / TILE..(area.y + area.height).div_ceil(TILE);
        for row in rows {
            let (top, bottom) = overlap(row, area.y, area.height);
            self.drawn.clear();
            self.drawn.resize(columns.len(), false);
            for y in top..bottom {
                let line = &pixels[y * area.width as usize * PIXEL..][..area.width as usize * PIXEL];
                for (column, drawn) in columns.clone().zip(&mut self.drawn) {
                    let (left, right) = overlap(column, area.x, area.width);
                    *drawn |= line[left * PIXEL..right * PIXEL]
                        .iter()
                        .fold(0, |all, byte| all | byte)
                        != 0;
                }
            }
            let mut column = columns.start;
            for run in self.drawn.chunk_by(|a, b| a == b) {
                let count = run.len() as u32;
                if run[0] {
                    self.tiles.push(Area {
                        x: column * TILE,
                        y: row * TILE,
                        width: count * TILE,
                        height: TILE,
                    });
                }
                column += count;
            }
        }
    }
}

/// From where to where the tile reaches, along one side of a drawing that starts at `start`.
fn overlap(tile: u32, start: u32, length: u32) -> (usize, usize) {
    let from = (tile * TILE).saturating_sub(start);
    let to = ((tile + 1) * TILE - start).min(length);
    (from as usize, to as usize)
}

/// The pixels of a drawing, and which area of the frame they cover.
struct Drawing<'p> {
    /// Row by row without gaps.
    pixels: &'p [u8],
    area: Area,
    /// How GStreamer is told of them.
    info: VideoInfo,
}

impl<'p> Drawing<'p> {
    fn new(pixels: &'p [u8], area: Area) -> Result<Self, glib::BoolError> {
        let info = VideoInfo::builder(FORMAT, area.width, area.height)
            .flags(VideoFlags::PREMULTIPLIED_ALPHA)
            .build()?;
        let pixels = pixels
            .get(..area.width as usize * area.height as usize * PIXEL)
            .ok_or_else(|| glib::bool_error!("a drawing has {} bytes for {area:?}", pixels.len()))?;
        Ok(Self { pixels, area, info })
    }
}

/// Bytes at whose multiples the rows of a tile's copy begin.
const ALIGNMENT: usize = 16;

/// Where the samples of a tile are in a plane of the frame and in the tile's copy, in bytes.
#[derive(Clone, Copy, Default)]
struct Patch {
    /// First byte in the frame.
    first: usize,
    /// Bytes of a row.
    row: usize,
    rows: usize,
    /// First byte in the copy.
    copy: usize,
    /// From one row of the copy to the next.
    stride: usize,
}

/// Blends the part of a drawing that lies on a tile, which begins in the frame but may reach over its edges. `copy` is
/// memory.
fn blend_tile(
    frame: &mut MappedFrame<'_>,
    tile: Area,
    drawing: &Drawing<'_>,
    copy: &mut Vec<u8>,
) -> Result<(), glib::BoolError> {
    let info = frame.info();
    let format = info.format_info();
    let (frame_width, frame_height) = (info.width(), info.height());
    assert!(
        tile.x < frame_width && tile.y < frame_height,
        "{tile:?} is outside {frame_width}x{frame_height}"
    );
    let (width, height) = (
        tile.width.min(frame_width - tile.x),
        tile.height.min(frame_height - tile.y),
    );
    // In all formats plane `n` begins with component `n`, or holds all components.
    let planes = info.n_planes() as usize;
    let mut patches = [Patch::default(); 3];
    let mut room = 0;
    for (plane, patch) in patches.iter_mut().enumerate().take(planes) {
        let (w_sub, h_sub) = (format.w_sub()[plane], format.h_sub()[plane]);
        let step = info.comp_pstride(plane as u8).max(1) as usize;
        let row = width.div_ceil(1 << w_sub) as usize * step;
        *patch = Patch {
            first: (tile.y >> h_sub) as usize * frame.stride(plane) + (tile.x >> w_sub) as usize * step,
            row,
            rows: height.div_ceil(1 << h_sub) as usize,
            copy: room,
            stride: row.next_multiple_of(ALIGNMENT),
        };
        room += patch.stride * patch.rows;
    }
    copy.resize(room + ALIGNMENT, 0);
    let aligned = copy.as_ptr().align_offset(ALIGNMENT);
    let copy = &mut copy[aligned..aligned + room];

    for (plane, patch) in patches.iter().enumerate().take(planes) {
        let (stride, samples) = (frame.stride(plane), frame.plane(plane));
        for row in 0..patch.rows {
            let from = &samples[patch.first + row * stride..][..patch.row];
            copy[patch.copy + row * patch.stride..][..patch.row].copy_from_slice(from);
        }
    }
    let first = copy.as_mut_ptr();
    let pointers = patches.map(|patch| (first.wrapping_add(patch.copy), patch.stride));
    let mut below = video_frame(info, width, height, &pointers[..planes]);
    let stride = drawing.area.width as usize * PIXEL;
    let pixels = drawing.pixels.as_ptr().cast_mut();
    let Area {
        width: drawn_width,
        height: drawn_height,
        ..
    } = drawing.area;
    let mut above = video_frame(&drawing.info, drawn_width, drawn_height, &[(pixels, stride)]);
    let (x, y) = (
        drawing.area.x as i32 - tile.x as i32,
        drawing.area.y as i32 - tile.y as i32,
    );
    // SAFETY: `below` is `copy`, which has room for as many rows as the planes of a frame of this size and format have, of
    // at least their length, and which nobody else uses during the call. `above` has as many bytes as its info says
    // (`Drawing::new`) and is only read. Neither depends on what a buffer says of itself. The function takes nothing of a
    // frame but its info and its pointers.
    let blended: bool = unsafe { from_glib(ffi::gst_video_blend(&mut below, &mut above, x, y, 1.0)) };
    if !blended {
        return Err(glib::bool_error!(
            "GStreamer does not blend into {}",
            info.format()
        ));
    }
    for (plane, patch) in patches.iter().enumerate().take(planes) {
        let stride = frame.stride(plane);
        let samples = frame.plane(plane);
        for row in 0..patch.rows {
            let from = &copy[patch.copy + row * patch.stride..][..patch.row];
            samples[patch.first + row * stride..][..patch.row].copy_from_slice(from);
        }
    }
    Ok(())
}

/// A frame of `width` x `height` for GStreamer's function, out of pointers to its planes and their strides. It holds no
/// buffer, and nothing is to be unmapped.
fn video_frame(info: &VideoInfo, width: u32, height: u32, planes: &[(*mut u8, usize)]) -> ffi::GstVideoFrame {
    // SAFETY: numbers and pointers, for each of which 0 is a value.
    let mut frame: ffi::GstVideoFrame = unsafe { std::mem::zeroed() };
    // SAFETY: a whole info, of numbers and of pointers to what is never freed.
    frame.info = unsafe { std::ptr::read(info.to_glib_none().0) };
    frame.info.width = width as i32;
    frame.info.height = height as i32;
    for (index, (data, stride)) in planes.iter().enumerate() {
        frame.data[index] = data.cast();
        // A row of a frame whose width is an i32, four bytes a pixel at most; GStreamer refuses larger ones.
        frame.info.stride[index] = *stride as i32;
    }
    frame
}
