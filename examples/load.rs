//! What becomes of a live stream that is too fast for the model, and what elements cost that share one.
//!
//! `scripts/load.sh` builds and runs it. A camera (`videotestsrc is-live=true`) of a rate that the model can keep up
//! with, and of three times that rate in each of the ways to deal with it; for each: frames at the camera, at the sink,
//! looked at; the delay that the element promised; the delay of frames in the element, and behind it since the
//! time that the camera has stamped on them; the most frames that were in the element; and the growth of the process's
//! memory from the first third of the run to its end.

use std::collections::HashMap;
use std::error::Error;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Frames that the rate of the model is measured with, after the first ones.
const TRIAL: usize = 60;
const FIRST: usize = 12;

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

/// What was counted while frames flowed. Times are in seconds.
#[derive(Default)]
struct Seen {
    camera: u64,
    /// When a frame reached the element, by its timestamp.
    arrived: HashMap<gst::ClockTime, Instant>,
    in_element: Vec<f64>,
    since_camera: Vec<f64>,
    /// Frames.
    at_sink: usize,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    gst::init()?;
    gstimg2pose::plugin_register_static()?;
    match arguments[..] {
        [model, seconds] => load(model, seconds.parse()?),
        [model, "memory", number, shared] => memory_of(model, number.parse()?, shared.parse()?),
        _ => Err("usage: load MODEL SECONDS".into()),
    }
}

fn load(model: &str, seconds: u64) -> Result<()> {
    sharing(model)?;
    let rate = model_rate(model)?;
    println!("\nThe model looks at {rate:.1} frames a second (640x360 NV12, batch-size=4).\n");
    println!(
        "| camera | frames/s | at the camera | at the sink | looked at | promised, ms | in the element p50, ms | p95 | \
         since the camera p50 | p95 | most queued | memory growth, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for way in &WAYS {
        row(way, model, rate, seconds)?;
    }
    Ok(())
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
    let frames = FIRST + TRIAL;
    let description = format!(
        "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=NV12,width=640,height=360 ! identity name=in"
    );
    let (pipeline, _, sink) = pipeline(&description, element(model, &[])?)?;
    let times = Arc::new(Mutex::new(Vec::new()));
    probe(&sink, "sink", {
        let times = times.clone();
        move |_, _| times.lock().unwrap().push(Instant::now())
    })?;
    pipeline.set_state(gst::State::Playing)?;
    wait(&pipeline, Duration::from_secs(300), || ())?;
    pipeline.set_state(gst::State::Null)?;
    let times = times.lock().unwrap();
    let (Some(first), Some(last)) = (times.get(FIRST - 1), times.last()) else {
        return Err("the pipeline has ended too early".into());
    };
    Ok(TRIAL as f64 / last.duration_since(*first).as_secs_f64())
}

/// `description` up to its element `in`, the element and a sink; and the latter two. Between them is a queue, so that the
/// element does not wait for the sink, which waits for the clock.
fn pipeline(description: &str, element: gst::Element) -> Result<(gst::Pipeline, gst::Element, gst::Element)> {
    let pipeline = gst::parse::launch(description)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let sink = gst::ElementFactory::make("fakesink")
        .property("qos", true)
        .build()?;
    let queue = gst::ElementFactory::make("queue")
        .property("max-size-time", 0u64)
        .build()?;
    pipeline.add_many([&element, &queue, &sink])?;
    let source = pipeline.by_name("in").ok_or("no source")?;
    gst::Element::link_many([&source, &element, &queue, &sink])?;
    Ok((pipeline, element, sink))
}

/// Calls `note` for each frame at a pad, with its timestamp and the seconds since then.
fn probe(
    element: &gst::Element,
    pad: &str,
    note: impl Fn(gst::ClockTime, f64) + Send + Sync + 'static,
) -> Result<()> {
    let weak = element.downgrade();
    let pad = element.static_pad(pad).ok_or("no such pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let (Some(element), Some(buffer)) = (weak.upgrade(), info.buffer())
            && let (Some(now), Some(taken)) = (element.current_running_time(), buffer.pts())
        {
            note(taken, now.saturating_sub(taken).nseconds() as f64 / 1e9);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Waits until the end of the stream or of the time, and does what applications do about latency meanwhile.
fn wait(pipeline: &gst::Pipeline, time: Duration, mut often: impl FnMut()) -> Result<()> {
    let bus = pipeline.bus().ok_or("no bus")?;
    let end = Instant::now() + time;
    while Instant::now() < end {
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
fn memory() -> f64 {
    test_support::process_status("VmRSS:") as f64 * 1024.0 / 1e6
}

fn row(way: &Way, model: &str, model_rate: f64, seconds: u64) -> Result<()> {
    let rate = (way.load * model_rate).round().max(1.0);
    let queue = way.queue.map(|queue| format!(" ! {queue}")).unwrap_or_default();
    let description = format!(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,format=NV12,width=640,height=360,framerate={rate}/1 \
         ! identity name=camera{queue} ! identity name=in"
    );
    let (pipeline, element, sink) = pipeline(&description, element(model, way.properties)?)?;
    sink.set_property("sync", true);

    let seen = Arc::new(Mutex::new(Seen::default()));
    let camera = pipeline.by_name("camera").ok_or("no camera")?;
    let counted = |count: fn(&mut Seen, gst::ClockTime, f64)| {
        let seen = seen.clone();
        move |taken, delay| count(&mut seen.lock().unwrap(), taken, delay)
    };
    probe(&camera, "src", counted(|seen, _, _| seen.camera += 1))?;
    probe(
        &element,
        "sink",
        counted(|seen, taken, _| {
            seen.arrived.insert(taken, Instant::now());
        }),
    )?;
    probe(
        &element,
        "src",
        counted(|seen, taken, delay| {
            seen.since_camera.push(delay);
            if let Some(arrived) = seen.arrived.remove(&taken) {
                seen.in_element.push(arrived.elapsed().as_secs_f64());
            }
        }),
    )?;
    probe(&sink, "sink", counted(|seen, _, _| seen.at_sink += 1))?;
    pipeline.set_state(gst::State::Playing)?;
    let mut most_queued = 0;
    let mut watch = |time| {
        wait(&pipeline, time, || {
            most_queued = most_queued.max(statistic(&element, "queue-level").unwrap_or(0));
        })
    };
    watch(Duration::from_secs(seconds) / 3)?;
    let early = memory();
    watch(Duration::from_secs(seconds) * 2 / 3)?;
    let growth = memory() - early;

    let promised = promised(&element)?;
    let looked_at = statistic(&element, "inferred")?;
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    pipeline.set_state(gst::State::Null)?;
    let frames = seen.at_sink;
    let [in_element, since_camera] = [&mut seen.in_element, &mut seen.since_camera].map(|delays| {
        delays.sort_by(f64::total_cmp);
        [0.5, 0.95].map(|q| {
            let last = delays.len().saturating_sub(1);
            delays
                .get((last as f64 * q) as usize)
                .map_or(f64::NAN, |delay| delay * 1e3)
        })
    });
    println!(
        "| {} | {rate} | {} | {frames} | {looked_at} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {most_queued} | {growth:+.1} |",
        way.name,
        seen.camera,
        promised * 1e3,
        in_element[0],
        in_element[1],
        since_camera[0],
        since_camera[1],
    );
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

/// The memory of one element, of sixteen that share a model, and of four that do not; a process for each.
fn sharing(model: &str) -> Result<()> {
    println!("| elements, each after its first frame | memory, MB |");
    println!("|---|---|");
    let cases = [
        ("1", "false", "1"),
        ("16", "true", "16 with one model-instance-id"),
        ("4", "false", "4 with a model each"),
    ];
    for (number, shared, name) in cases {
        let output = Command::new(std::env::current_exe()?)
            .args([model, "memory", number, shared])
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        println!("| {name} | {} |", String::from_utf8(output.stdout)?.trim());
    }
    Ok(())
}

/// Prints the memory in MB of elements that have passed a frame each and stay.
fn memory_of(model: &str, number: usize, shared: bool) -> Result<()> {
    let before = memory();
    let mut pipelines = Vec::new();
    for _ in 0..number {
        let description =
            "videotestsrc num-buffers=1 ! video/x-raw,format=NV12,width=640,height=360 ! identity name=in";
        let (pipeline, element, _) = pipeline(description, element(model, &[])?)?;
        if shared {
            element.set_property("model-instance-id", "load");
        }
        pipeline.set_state(gst::State::Playing)?;
        wait(&pipeline, Duration::from_secs(60), || ())?;
        pipelines.push(pipeline);
    }
    println!("{:.0}", memory() - before);
    for pipeline in pipelines {
        pipeline.set_state(gst::State::Null)?;
    }
    Ok(())
}
