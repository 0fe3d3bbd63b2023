//! Serialized queries keep their place; the allocation query speaks for the buffers that are held.

use super::support::*;
use gst::prelude::*;

fn allocation() -> gst::query::Allocation<gst::Query> {
    gst::query::Allocation::new(Some(&CAPS.parse::<gst::Caps>().unwrap()), true)
}

#[test]
fn a_serialized_query_comes_after_the_frames_before_it() {
    let element = detector();
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    harness.push(frame(0)).unwrap();
    harness.push(frame(1)).unwrap();
    assert!(harness.srcpad().unwrap().peer_query(&mut allocation()));
    assert_eq!(recorder.after_start(), ["0", "1", "Allocation"]);
    assert_frame(&harness.pull().unwrap(), 0);
}

#[test]
fn a_flush_wakes_a_blocked_query() {
    let element = detector();
    let mut harness = harness(&element, true);
    let sink = harness.sinkpad().unwrap();
    sink.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, |_, _| {
        gst::PadProbeReturn::Ok
    });
    harness.push(frame(0)).unwrap();
    let pad = harness.srcpad().unwrap();
    let asker = std::thread::spawn({
        let pad = pad.clone();
        move || pad.peer_query(&mut allocation())
    });
    std::thread::sleep(QUIET);
    assert!(!asker.is_finished());
    pad.push_event(gst::event::FlushStart::new());
    assert!(!asker.join().unwrap());
}

#[test]
fn the_answer_offers_enough_buffers_and_promises_nothing() {
    let element = detector();
    let harness = harness(&element, true);
    let mut query = allocation();
    assert!(harness.srcpad().unwrap().peer_query(&mut query));
    // What this element can read is no promise for those behind it.
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_none());
    // (2 batches that wait and 1 that runs) x 4 frames, and one that is on its way out.
    let pools: Vec<_> = query
        .allocation_pools()
        .map(|(_, size, min, max)| (size, min, max))
        .collect();
    assert_eq!(pools, [(WIDTH * HEIGHT, 13, 0)]);
}

#[test]
fn pools_of_downstream_grow_by_what_is_held() {
    let element = detector();
    let harness = harness(&element, true);
    harness
        .sinkpad()
        .unwrap()
        .add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
            let Some(gst::PadProbeData::Query(query)) = &mut info.data else {
                return gst::PadProbeReturn::Ok;
            };
            let gst::QueryViewMut::Allocation(query) = query.view_mut() else {
                return gst::PadProbeReturn::Ok;
            };
            let pool = gst::BufferPool::new();
            query.add_allocation_pool(Some(&pool), 4000, 3, 0);
            query.add_allocation_pool(Some(&pool), 4000, 2, 5);
            query.add_allocation_pool(Some(&pool), 4000, 2, 50);
            gst::PadProbeReturn::Handled
        });
    let mut query = allocation();
    assert!(harness.srcpad().unwrap().peer_query(&mut query));
    let pools: Vec<_> = query
        .allocation_pools()
        .map(|(pool, _, min, max)| (pool.is_some(), min, max))
        .collect();
    // The second pool cannot hold as many, so upstream has to make its own.
    assert_eq!(pools, [(true, 16, 0), (false, 15, 0), (true, 15, 50)]);
}

#[test]
fn upstream_does_not_leave_cropping_to_downstream() {
    // The frames would hold more picture than their caps say, and the network would look at the wrong part.
    let element = detector();
    let mut harness = harness(&element, true);
    harness.add_propose_allocation_meta(gst_video::VideoCropMeta::meta_api(), None);
    harness.add_propose_allocation_meta(gst_video::VideoMeta::meta_api(), None);
    let mut query = allocation();
    assert!(harness.srcpad().unwrap().peer_query(&mut query));
    assert!(query.find_allocation_meta::<gst_video::VideoCropMeta>().is_none());
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
}
