//! The way of a frame into its batch: over the processor, or on the GPU where both are there.

use std::sync::Arc;

use gst::subclass::prelude::*;

use super::CAT;
use super::imp::Img2PoseDetect;
use super::network::NetworkHandle;
use super::stats::Way;
use super::watcher::{Watched, Watcher, WatcherHandle};
use super::worker::{Client, Submitted};
use crate::video::{InputFormat, mapping};

type Batch = <Watcher as super::network::Network>::Batch;

impl Img2PoseDetect {
    /// Brings a frame into its batch. Where the GPU's copy is refused, the frame takes the way over the processor.
    pub(super) fn submit(
        &self,
        client: &Client<Watcher>,
        format: &InputFormat,
        buffer: &gst::BufferRef,
        stream: &Arc<Watched>,
    ) -> (Result<Submitted<Batch>, String>, Way) {
        if !mapping::is_in_cuda(buffer) || !client.takes_cuda_frames(&format.layout) {
            let submitted = format
                .read_frame(buffer, |frame| client.submit(frame, stream))
                .and_then(|submitted| submitted);
            return (submitted, Way::Host);
        }
        let mut way = Way::Device;
        let submitted = client.submit_with(format.layout, |mut slot| {
            let copied = format
                .read_cuda_frame(buffer, |frame| WatcherHandle::copy_cuda(&mut slot, frame))
                .and_then(|copied| copied);
            if let Err(reason) = copied {
                way = Way::Refused;
                self.say_refused(&reason);
                return format
                    .read_frame(buffer, |frame| WatcherHandle::convert(slot, frame, stream))
                    .and_then(|converted| converted);
            }
            gst::trace!(CAT, imp = self, "a frame was copied to the network on the GPU");
            Ok(())
        });
        (submitted, way)
    }

    /// Says once that frames take the longer way.
    fn say_refused(&self, reason: &str) {
        if self.stream.lock().record.stats().device_refusals == 0 {
            gst::warning!(
                CAT,
                imp = self,
                "frames in CUDA memory go to the network over the processor, because they cannot be copied on the GPU: {reason}"
            );
        } else {
            gst::debug!(CAT, imp = self, "a frame was not copied on the GPU: {reason}");
        }
    }
}
