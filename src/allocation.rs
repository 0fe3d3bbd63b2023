//! Answers to allocation queries of elements that keep frames for a while.

/// Raises the least number of buffers of every pool by `held`, which an element may keep; proposes as much without a pool where there is
/// none. Pools that cannot grow so far would starve, and are taken out.
pub fn hold(query: &mut gst::query::Allocation, held: u32) {
    let pools: Vec<_> = query.allocation_pools().collect();
    for (index, (pool, size, min, max)) in (0..).zip(&pools) {
        let needed = min.saturating_add(held);
        // A pool that cannot grow so far is no use to upstream, which will make its own.
        let fits = *max == 0 || needed <= *max;
        let pool = pool.as_ref().filter(|_| fits);
        query.set_nth_allocation_pool(index, pool, *size, needed, if fits { *max } else { 0 });
    }
    if pools.is_empty()
        && let Some(size) = query
            .get_owned()
            .0
            .and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok())
            .and_then(|info| u32::try_from(info.size()).ok())
    {
        query.add_allocation_pool(None::<&gst::BufferPool>, size, held, 0);
    }
}
