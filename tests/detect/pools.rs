//! A source with a pool of fixed size does not starve.

use super::support::*;
use gst::prelude::*;

/// What a source makes of the allocation query: a pool that never grows.
fn fixed_pool(pad: &gst::Pad, caps: &gst::Caps, own_minimum: u32) -> gst::BufferPool {
    let mut query = gst::query::Allocation::new(Some(caps), true);
    assert!(pad.peer_query(&mut query));
    let (_, size, minimum, maximum) = query.allocation_pools().next().unwrap();
    let count = minimum + own_minimum;
    assert!(maximum == 0 || count <= maximum);
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(caps), size, count, count);
    pool.set_config(config).unwrap();
    pool.set_active(true).unwrap();
    pool
}

#[test]
fn a_pool_of_fixed_size_goes_round() {
    for (batch_size, interval, queued) in [(1u32, 1u32, 1u32), (4, 1, 2), (8, 1, 1), (3, 5, 2)] {
        let element = detector();
        element.set_property("batch-size", batch_size);
        element.set_property("inference-interval", interval);
        element.set_property("max-queued-batches", queued);
        let mut harness = harness(&element, false);
        let pad = harness.srcpad().unwrap();
        let caps = CAPS.parse::<gst::Caps>().unwrap();
        // One more for the frame that the source is filling.
        let pool = fixed_pool(&pad, &caps, 1);
        let frames = 20 * u64::from(batch_size * interval);
        let source = std::thread::spawn({
            let pool = pool.clone();
            move || {
                for index in 0..frames {
                    let mut buffer = pool.acquire_buffer(None).unwrap();
                    {
                        let buffer = buffer.get_mut().unwrap();
                        buffer
                            .map_writable()
                            .unwrap()
                            .copy_from_slice(&pixels(WIDTH, HEIGHT, index % 16));
                        buffer.set_pts(FRAME * index);
                    }
                    pad.push(buffer).unwrap();
                }
                pad.push_event(gst::event::Eos::new());
            }
        });
        for index in 0..frames {
            let buffer = harness.pull().expect("a frame before the pool starves");
            assert_eq!(buffer.pts(), Some(FRAME * index));
            if index % u64::from(interval) == 0 {
                assert_eq!(faces_on(&buffer), Some(faces_alone(index % 16)));
            }
        }
        source.join().unwrap();
        pool.set_active(false).unwrap();
    }
}
