//! The format of crops, and the buffers for them.

use gst::glib;
use gst::prelude::*;
use gst_video::{VideoBufferPool, VideoCapsBuilder, VideoFormat, VideoInfo, VideoMeta};
use img2pose::frame::RgbPicture;

use super::settings::SIZES;
use crate::video::mapping;

/// Crops of any size.
pub fn template_caps() -> gst::Caps {
    let sizes = *SIZES.start() as i32..=*SIZES.end() as i32;
    square(
        VideoCapsBuilder::new()
            .width_range(sizes.clone())
            .height_range(sizes),
    )
}

/// Crops of one size.
pub fn caps(size: u32) -> gst::Caps {
    square(VideoCapsBuilder::new().width(size as i32).height(size as i32))
}

/// Crops of any size, best of `size`.
pub fn offered_caps(size: u32) -> gst::Caps {
    let mut offered = caps(size);
    offered.make_mut().append(template_caps());
    offered
}

fn square(builder: VideoCapsBuilder<gst::caps::NoFeature>) -> gst::Caps {
    builder
        .format(VideoFormat::Rgb)
        .pixel_aspect_ratio(gst::Fraction::new(1, 1))
        // Variable: as many crops as there are faces.
        .framerate(gst::Fraction::new(0, 1))
        .build()
}

/// The side of square crops that downstream takes, `size` or else the nearest; `None` if it takes none.
fn nearest_size(wanted: &gst::CapsRef, size: u32) -> Option<u32> {
    if wanted.can_intersect(&caps(size)) {
        return Some(size);
    }
    wanted
        .iter()
        .filter_map(|structure| {
            let (width, height) = (structure.value("width").ok()?, structure.value("height").ok()?);
            nearest(&width.intersect(height)?, size)
        })
        .filter(|side| wanted.can_intersect(&caps(*side)))
        .min_by_key(|side| side.abs_diff(size))
}

/// The number nearest to `size` among those of a field: one, a range, or a list.
fn nearest(field: &glib::Value, size: u32) -> Option<u32> {
    if let Ok(side) = field.get::<i32>() {
        return u32::try_from(side).ok();
    }
    if let Ok(range) = field.get::<gst::IntRange<i32>>() {
        let [low, high, step] = [range.min(), range.max(), range.step()].map(|n| u32::try_from(n).ok());
        let (low, high, step) = (low?, high?, step?.max(1));
        // Both ends are multiples of the step.
        let below = size.clamp(low, high) / step * step;
        return [below, below + step]
            .into_iter()
            .filter(|side| (low..=high).contains(side))
            .min_by_key(|side| side.abs_diff(size));
    }
    let list = field.get::<gst::List>().ok()?;
    list.iter()
        .filter_map(|value| nearest(value, size))
        .min_by_key(|side| side.abs_diff(size))
}

/// What to tell a user whose pipeline takes only `wanted` behind the element.
fn refusal(wanted: &gst::CapsRef) -> String {
    let (low, high) = (SIZES.start(), SIZES.end());
    format!(
        "Crops are squares of {low}x{low} to {high}x{high} RGB pixels at a variable framerate (0/1), but \
         downstream accepts {wanted}: ask for the same width and height there, or put 'videoconvert ! videoscale' \
         behind the element for another format or shape"
    )
}

/// Where crops are written.
pub struct Output {
    info: VideoInfo,
    pool: gst::BufferPool,
}

impl Output {
    /// Sets the caps of crops downstream and finds the pool for them. They are of `size`, where downstream leaves the choice,
    /// else of the size nearest to it.
    ///
    /// # Errors
    /// Downstream takes no square crops of RGB, in words for the user; or the pad is flushing.
    pub fn negotiate(src_pad: &gst::Pad, size: u32) -> Result<Self, (gst::FlowError, String)> {
        let wanted = src_pad.peer_query_caps(Some(&template_caps()));
        let refused = || {
            let unfiltered = src_pad.peer_query_caps(None);
            (refused(src_pad), refusal(&unfiltered))
        };
        let size = nearest_size(&wanted, size).ok_or_else(refused)?;
        let caps = caps(size);
        let accepted = if src_pad.current_caps().as_ref() == Some(&caps) {
            // Downstream may have changed its mind.
            src_pad.peer_query_accept_caps(&caps)
        } else {
            src_pad.push_event(gst::event::Caps::new(&caps))
        };
        if !accepted {
            return Err(refused());
        }
        let info = VideoInfo::from_caps(&caps).expect("the caps are raw video");
        let mut query = gst::query::Allocation::new(Some(&caps), true);
        let offered = src_pad
            .peer_query(&mut query)
            .then(|| offered_pool(&query, &caps, &info))
            .flatten();
        let pool = match offered {
            Some(pool) => pool,
            None => own_pool(&caps, &info).ok_or_else(refused)?,
        };
        Ok(Self { info, pool })
    }

    /// A new crop, filled by `fill`.
    ///
    /// # Errors
    /// The pool is flushing, its memory cannot be mapped, or what `fill` says; with words unless it is flushing.
    pub fn crop(
        &self,
        fill: impl FnOnce(&mut RgbPicture<'_>) -> Result<(), String>,
    ) -> Result<gst::Buffer, (gst::FlowError, String)> {
        let mut buffer = self
            .pool
            .acquire_buffer(None)
            .map_err(|error| (error, "its memory cannot be had".to_owned()))?;
        let (width, height) = (self.info.width(), self.info.height());
        mapping::write(buffer.make_mut(), &self.info, |frame| {
            let stride = frame.stride(0);
            fill(&mut RgbPicture {
                data: frame.plane(0),
                stride,
                width,
                height,
            })
        })
        .map_err(|error| (gst::FlowError::Error, format!("its memory: {error}")))?
        .map_err(|error| (gst::FlowError::Error, error))?;
        Ok(buffer)
    }

    /// Side of a crop in pixels.
    pub fn size(&self) -> u32 {
        self.info.width()
    }

    /// Whether a thread that waits for a buffer is sent away.
    pub fn set_flushing(&self, flushing: bool) {
        self.pool.set_flushing(flushing);
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Buffers on their way stay valid.
        let _ = self.pool.set_active(false);
    }
}

fn refused(src_pad: &gst::Pad) -> gst::FlowError {
    if src_pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
        gst::FlowError::Flushing
    } else {
        gst::FlowError::NotNegotiated
    }
}

/// The first pool that downstream offers, if it can be used.
fn offered_pool(
    query: &gst::query::Allocation,
    caps: &gst::Caps,
    info: &VideoInfo,
) -> Option<gst::BufferPool> {
    let (pool, size, min, max) = query.allocation_pools().next()?;
    let pool = pool?;
    let mut config = pool.config();
    config.set_params(Some(caps), size.max(info.size() as u32), min, max);
    if query.find_allocation_meta::<VideoMeta>().is_some() {
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META.as_str());
    }
    pool.set_config(config).ok()?;
    pool.set_active(true).ok()?;
    Some(pool)
}

fn own_pool(caps: &gst::Caps, info: &VideoInfo) -> Option<gst::BufferPool> {
    let pool = VideoBufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(caps), info.size() as u32, 0, 0);
    pool.set_config(config).ok()?;
    pool.set_active(true).ok()?;
    Some(pool.upcast())
}
