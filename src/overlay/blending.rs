//! Blending drawings into frames.
//!
//! GStreamer's function does the arithmetic. It takes every row that a drawing touches apart into four bytes a pixel and
//! puts it together again, all of it from the left edge of the frame to the right, and looks at each pixel of the drawing.
//! So it is shown only those tiles of the frame that something is drawn on, as frames of their own.

use gst::glib::{self, translate::from_glib};
use gst_video::prelude::*;
use gst_video::{VideoFlags, VideoFrame, VideoFrameRef, VideoInfo, ffi};
use gst_video::{VideoOverlayComposition, VideoOverlayFormatFlags};

use super::pixels::{FORMAT, PIXEL};
use super::style::Area;

/// Side of a tile in pixels, a multiple of the pixels that share a chroma sample. With 4 and with 16 lines take a tenth longer.
const TILE: u32 = 8;

/// Memory that is kept from one frame to the next.
#[derive(Default)]
pub struct Blender {
    tiles: Vec<Area>,
    drawn: Vec<bool>,
}

impl Blender {
    /// Lays the composition over the frame, of one of the formats that the detector takes. The pixels are those that
    /// [`VideoOverlayComposition::blend`] makes.
    ///
    /// # Errors
    /// Memory cannot be mapped, or GStreamer refuses.
    pub fn blend(
        &mut self,
        frame: &mut VideoFrameRef<&mut gst::BufferRef>,
        composition: &VideoOverlayComposition,
    ) -> Result<(), glib::BoolError> {
        for rectangle in composition.iter() {
            let (x, y, width, height) = rectangle.render_rectangle();
            let pixels = rectangle.pixels_unscaled_raw(VideoOverlayFormatFlags::PREMULTIPLIED_ALPHA);
            let info = VideoInfo::builder(FORMAT, width, height)
                .flags(VideoFlags::PREMULTIPLIED_ALPHA)
                .build()?;
            let drawing = VideoFrame::from_buffer_readable(pixels, &info)
                .map_err(|_| glib::bool_error!("a drawing cannot be mapped"))?;
            let area = Area {
                x: x as u32,
                y: y as u32,
                width,
                height,
            };
            self.find_tiles(drawing.plane_data(0)?, area);
            for tile in &self.tiles {
                blend_tile(frame, *tile, &drawing, area)?;
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

/// Blends the part of a drawing that lies on a tile, which begins in the frame but may reach over its edges.
fn blend_tile(
    frame: &mut VideoFrameRef<&mut gst::BufferRef>,
    tile: Area,
    drawing: &VideoFrame<gst_video::video_frame::Readable>,
    area: Area,
) -> Result<(), glib::BoolError> {
    let format = frame.format_info();
    let (width, height) = (frame.width(), frame.height());
    assert!(
        tile.x < width && tile.y < height,
        "{tile:?} is outside {width}x{height}"
    );
    assert!((0..frame.n_components()).all(|c| {
        let (w_sub, h_sub) = (format.w_sub()[c as usize], format.h_sub()[c as usize]);
        tile.x.trailing_zeros() >= w_sub && tile.y.trailing_zeros() >= h_sub
    }));
    // SAFETY: plain numbers and pointers; neither is unmapped or freed through the copy.
    let mut view = unsafe { *frame.as_ptr() };
    view.info.width = tile.width.min(width - tile.x) as i32;
    view.info.height = tile.height.min(height - tile.y) as i32;
    for plane in 0..frame.n_planes() {
        // In all formats plane `n` begins with component `n`, or holds all components.
        let x = (tile.x >> format.w_sub()[plane as usize]) as isize * frame.comp_pstride(plane) as isize;
        let y = (tile.y >> format.h_sub()[plane as usize]) as isize
            * frame.plane_stride()[plane as usize] as isize;
        let data = &mut view.data[plane as usize];
        // SAFETY: the tile begins inside the frame and on a sample of each component, so this is a byte of the plane.
        *data = unsafe { data.cast::<u8>().offset(x + y) }.cast();
    }
    // SAFETY: both frames are mapped during the call, `frame` for writing (it is borrowed mutably) and seen only from the
    // tile's first to its last pixel; the drawing is only read.
    let blended: bool = unsafe {
        from_glib(ffi::gst_video_blend(
            &mut view,
            drawing.as_ptr().cast_mut(),
            area.x as i32 - tile.x as i32,
            area.y as i32 - tile.y as i32,
            1.0,
        ))
    };
    blended
        .then_some(())
        .ok_or_else(|| glib::bool_error!("GStreamer does not blend into {}", frame.format()))
}
