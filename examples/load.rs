//! What becomes of a live stream that is too fast for the model, and what elements cost that share one.
//!
//! `scripts/load.sh` builds and runs it. A camera (`videotestsrc is-live=true`) of a rate that the model can keep up
//! with, and of three times that rate in each of the ways to deal with it; for each: frames at the camera, at the sink,
//! looked at; the delay that the element promised, and the delay of frames from the camera to the sink; the most frames
//! that were in the element; and the growth of the process's memory from the first third of the run to its end.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Frames that the rate of the model is measured with.
const TRIAL: i32 = 40;

/// A way to deal with too many frames.
struct Way {
    name: &'static str,
    /// Rate of the camera, in rates of the model.
    load: f64,
    /// Before the element.
    queue: Option<&'static str>,
    properties: &'static [(&'static str, &'static str)],
}

const WAYS: [Way; 6] = [
    Way {
        name: "0.6 x, batch-size=1",
        load: 0.6,
        queue: None,
        properties: &[("batch-size", "1")],
    },
    Way {
        name: "0.6 x, batch-size=4",
        load: 0.6,
        queue: None,
        properties: &[],
    },
    Way {
        name: "3 x, nothing done",
        load: 3.0,
        queue: None,
        properties: &[],
    },
    Way {
        name: "3 x, leaky queue before it",
        load: 3.0,
        queue: Some("queue leaky=downstream max-size-buffers=4 max-size-bytes=0 max-size-time=0"),
        properties: &[],
    },
    Way {
        name: "3 x, qos=true",
        load: 3.0,
        queue: None,
        properties: &[("qos", "true")],
    },
    Way {
        name: "3 x, inference-interval=5",
        load: 3.0,
        queue: None,
        properties: &[("inference-interval", "5")],
    },
];

/// What was counted while frames flowed.
#[derive(Default)]
struct Seen {
    camera: u64,
    /// Seconds from the camera to the sink, a frame each.
    delays: Vec<f64>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, seconds] = &arguments[..] else {
        return Err("usage: load MODEL SECONDS".into());
    };
    let seconds: u64 = seconds.parse()?;
    gst::init()?;
    gstimg2pose::plugin_register_static()?;

    let rate = model_rate(model)?;
    println!("The model looks at {rate:.1} frames a second (640x360 NV12, batch-size=4).\n");
    println!(
        "| camera | frames/s | at the camera | at the sink | looked at | latency promised, ms | delay p50, ms | p95 | max | \
         most queued | memory growth, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for way in &WAYS {
        row(way, model, rate, seconds)?;
    }
    println!();
    sharing(model)
}

fn element(model: &str, properties: &[(&str, &str)]) -> Result<gst::Element> {
    let element = gst::ElementFactory::make("img2posedetect")
        .property("model", model)
        .build()?;
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    Ok(element)
}

fn statistic(element: &gst::Element, name: &str) -> Result<u64> {
    Ok(element.property::<gst::Structure>("stats").get::<u64>(name)?)
}

/// Frames a second when there is no camera to wait for.
fn model_rate(model: &str) -> Result<f64> {
    let description = format!(
        "videotestsrc num-buffers={TRIAL} pattern=ball ! video/x-raw,format=NV12,width=640,height=360 ! identity name=in"
    );
    let pipeline = gst::parse::launch(&description)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let element = element(model, &[])?;
    let sink = gst::ElementFactory::make("fakesink").build()?;
    pipeline.add_many([&element, &sink])?;
    let source = pipeline.by_name("in").ok_or("no source")?;
    gst::Element::link_many([&source, &element, &sink])?;
    // Loads the model.
    pipeline.set_state(gst::State::Ready)?;
    let began = std::time::Instant::now();
    pipeline.set_state(gst::State::Playing)?;
    wait(&pipeline, Duration::from_secs(300), || ())?;
    let seconds = began.elapsed().as_secs_f64();
    pipeline.set_state(gst::State::Null)?;
    Ok(f64::from(TRIAL) / seconds)
}

/// Waits until the end of the stream or of the time, and does what applications do about latency meanwhile.
fn wait(pipeline: &gst::Pipeline, time: Duration, mut often: impl FnMut()) -> Result<()> {
    let bus = pipeline.bus().ok_or("no bus")?;
    let end = std::time::Instant::now() + time;
    while std::time::Instant::now() < end {
        often();
        let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(20)) else {
            continue;
        };
        match message.view() {
            gst::MessageView::Latency(_) => pipeline.recalculate_latency()?,
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => return Err(error.error().into()),
            _ => {}
        }
    }
    Ok(())
}

/// Resident memory in MB.
fn memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .ok_or("no VmRSS in /proc/self/status")?;
    let kibibytes: f64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}

fn row(way: &Way, model: &str, model_rate: f64, seconds: u64) -> Result<()> {
    let rate = (way.load * model_rate).round().max(1.0);
    let queue = way.queue.map(|queue| format!(" ! {queue}")).unwrap_or_default();
    let description = format!(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,format=NV12,width=640,height=360,framerate={rate}/1 \
         ! identity name=camera{queue} ! identity name=in"
    );
    let pipeline = gst::parse::launch(&description)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let element = element(model, way.properties)?;
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", true)
        .property("qos", true)
        .build()?;
    pipeline.add_many([&element, &sink])?;
    let before = pipeline.by_name("in").ok_or("no source")?;
    gst::Element::link_many([&before, &element, &sink])?;

    let seen = Arc::new(Mutex::new(Seen::default()));
    let camera = pipeline.by_name("camera").ok_or("no camera")?;
    count(&camera, "src", &seen, |seen, _| seen.camera += 1)?;
    count(&sink, "sink", &seen, |seen, delay| seen.delays.push(delay))?;
    pipeline.set_state(gst::State::Playing)?;
    let mut most_queued = 0;
    let mut watch = |time| {
        wait(&pipeline, time, || {
            most_queued = most_queued.max(statistic(&element, "queue-level").unwrap_or(0));
        })
    };
    watch(Duration::from_secs(seconds) / 3)?;
    let early = memory()?;
    watch(Duration::from_secs(seconds) * 2 / 3)?;
    let growth = memory()? - early;

    let promised = promised(&element)?;
    let looked_at = statistic(&element, "inferred")?;
    let mut seen = std::mem::take(&mut *seen.lock().map_err(|_| "a counter panicked")?);
    pipeline.set_state(gst::State::Null)?;
    seen.delays.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        let last = seen.delays.len().saturating_sub(1);
        seen.delays
            .get((last as f64 * q) as usize)
            .map_or(f64::NAN, |delay| delay * 1e3)
    };
    println!(
        "| {} | {rate} | {} | {} | {looked_at} | {:.0} | {:.0} | {:.0} | {:.0} | {most_queued} | {growth:+.1} |",
        way.name,
        seen.camera,
        seen.delays.len(),
        promised * 1e3,
        quantile(0.5),
        quantile(0.95),
        quantile(1.0),
    );
    Ok(())
}

/// Calls `note` for each frame at a pad with the seconds since the camera took it.
fn count(
    element: &gst::Element,
    pad: &str,
    seen: &Arc<Mutex<Seen>>,
    note: impl Fn(&mut Seen, f64) + Send + Sync + 'static,
) -> Result<()> {
    let seen = seen.clone();
    let weak = element.downgrade();
    let pad = element.static_pad(pad).ok_or("no such pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let (Some(element), Some(buffer)) = (weak.upgrade(), info.buffer())
            && let (Some(now), Some(taken)) = (element.current_running_time(), buffer.pts())
            && let Ok(mut seen) = seen.lock()
        {
            note(&mut seen, now.saturating_sub(taken).nseconds() as f64 / 1e9);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Seconds that the element adds to the latency of its stream.
fn promised(element: &gst::Element) -> Result<f64> {
    let latency = |pad: &str| -> Result<gst::ClockTime> {
        let pad = element.static_pad(pad).ok_or("no such pad")?;
        let mut query = gst::query::Latency::new();
        let answered = match pad.direction() {
            gst::PadDirection::Sink => pad.peer_query(&mut query),
            _ => pad.query(&mut query),
        };
        if !answered {
            return Err("the latency query was refused".into());
        }
        Ok(query.result().1)
    };
    Ok(latency("src")?.saturating_sub(latency("sink")?).nseconds() as f64 / 1e9)
}

/// The memory of one element, of sixteen that share a model, and of four that do not.
fn sharing(model: &str) -> Result<()> {
    println!("| elements, each after its first frame | memory, MB |");
    println!("|---|---|");
    let cases = [
        (1, false, "1"),
        (16, true, "16 with one model-instance-id"),
        (4, false, "4 with a model each"),
    ];
    for (number, shared, name) in cases {
        let before = memory()?;
        let pipelines: Vec<_> = (0..number)
            .map(|_| one_frame(model, shared))
            .collect::<Result<_>>()?;
        println!("| {name} | {:.0} |", memory()? - before);
        for pipeline in pipelines {
            pipeline.set_state(gst::State::Null)?;
        }
    }
    Ok(())
}

/// A pipeline that has passed a frame and stays.
fn one_frame(model: &str, shared: bool) -> Result<gst::Pipeline> {
    let description =
        "videotestsrc num-buffers=1 ! video/x-raw,format=NV12,width=640,height=360 ! identity name=in";
    let pipeline = gst::parse::launch(description)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let element = element(model, &[])?;
    if shared {
        element.set_property("model-instance-id", "load");
    }
    let sink = gst::ElementFactory::make("fakesink").build()?;
    pipeline.add_many([&element, &sink])?;
    let source = pipeline.by_name("in").ok_or("no source")?;
    gst::Element::link_many([&source, &element, &sink])?;
    pipeline.set_state(gst::State::Playing)?;
    wait(&pipeline, Duration::from_secs(60), || ())?;
    Ok(pipeline)
}
