//! Watches many cameras with one model, and starts a camera that was lost again.
//!
//! ```sh
//! cargo run --release --example many_cameras -- rtsp://camera-1/stream rtsp://camera-2/stream
//! ```
//!
//! With `--metrics ADDRESS:PORT` it answers `http://ADDRESS:PORT/metrics` with the numbers of each camera for Prometheus. With
//! `--server-url grpc://HOST:PORT` the network runs at an inference server (cargo feature `remote`).
//!
//! Each camera has a pipeline of its own, so that an error of one does not end the others; the elements share the
//! model by its `model-instance-id`, and their frames go through the network together. A file that ends is done.

mod metrics;
mod server;

use std::error::Error;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use gst::prelude::*;
use gstimg2pose::meta;
use img2pose::pose::yaw_pitch_roll;
use metrics::Metrics;

/// How long to wait before a lost camera is tried again.
const RETRY: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    if let Err(error) = run() {
        eprintln!("many_cameras: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run() -> Result<(), Box<dyn Error>> {
    let Arguments {
        uris,
        metrics: address,
        server_url,
    } = arguments()?;
    gst::init()?;
    gstimg2pose::plugin_register_static()?;

    let metrics = Metrics::new(uris.len());
    if let Some(address) = address {
        let listener =
            TcpListener::bind(&address).map_err(|error| format!("--metrics {address}: {error}"))?;
        eprintln!("metrics at http://{}/metrics", listener.local_addr()?);
        let metrics = metrics.clone();
        server::serve(listener, move || metrics.text());
    }
    let (metrics, server_url) = (&metrics, server_url.as_deref());
    std::thread::scope(|scope| {
        for (camera, uri) in uris.iter().enumerate() {
            let cameras = uris.len();
            scope.spawn(move || {
                while let Err(error) = watch(camera, cameras, uri, server_url, metrics) {
                    eprintln!(
                        "camera {camera}, {uri}: {error} (next try in {} s)",
                        RETRY.as_secs()
                    );
                    std::thread::sleep(RETRY);
                    metrics.restarted(camera);
                }
                println!("camera {camera}: ended");
            });
        }
    });
    Ok(())
}

/// What the command line says.
#[derive(Default)]
struct Arguments {
    uris: Vec<String>,
    metrics: Option<String>,
    server_url: Option<String>,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    const USAGE: &str = "usage: many_cameras [--metrics ADDRESS:PORT] [--server-url URL] URI...";
    let mut found = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--metrics" => found.metrics = Some(words.next().ok_or(USAGE)?),
            "--server-url" => found.server_url = Some(words.next().ok_or(USAGE)?),
            other if other.starts_with('-') => return Err(USAGE.into()),
            _ => found.uris.push(word),
        }
    }
    match found.uris.is_empty() {
        true => Err(USAGE.into()),
        false => Ok(found),
    }
}

/// Watches a camera until its stream ends.
fn watch(
    camera: usize,
    cameras: usize,
    uri: &str,
    server_url: Option<&str>,
    metrics: &Metrics,
) -> Result<(), Box<dyn Error>> {
    let pipeline = gst::parse::launch(
        "uridecodebin name=source ! videoconvert ! queue name=queue max-size-bytes=0 max-size-time=0 \
         ! img2posedetect name=detect model-instance-id=cameras ! appsink name=end max-buffers=4",
    )?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    let element = |name| pipeline.by_name(name).ok_or("the element is in the pipeline");
    element("source")?.set_property("uri", uri);
    // A frame of each camera fills a batch: nobody waits for the next frame of its own.
    let detector = element("detect")?;
    detector.set_property("batch-size", cameras.clamp(1, 64) as u32);
    if let Some(url) = server_url {
        if detector.find_property("server-url").is_none() {
            return Err("--server-url needs the cargo feature remote: build with --features remote".into());
        }
        detector.set_property("server-url", url);
    }
    if uri.starts_with("rtsp") {
        // When the model is busy, old frames go first. A file has time.
        let queue = element("queue")?;
        queue.set_property_from_str("leaky", "downstream");
        queue.set_property("max-size-buffers", 2_u32);
    }
    let appsink = element("end")?
        .downcast::<gst_app::AppSink>()
        .map_err(|_| "not an appsink")?;
    // What is to be printed need not wait for the moment at which it would be shown.
    appsink.set_sync(false);

    let mut frame = 0_u64;
    appsink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let buffer = sample.buffer().ok_or(gst::FlowError::Error)?;
                if let Some(found) = meta::read(buffer).map_err(|_| gst::FlowError::Error)? {
                    for (index, face) in found.faces.iter().enumerate() {
                        let [yaw, pitch, roll] = yaw_pitch_roll(&face.pose).map(f32::round);
                        println!(
                            "camera {camera}, frame {frame}, face {index}: yaw {yaw}, pitch {pitch}, roll {roll}"
                        );
                    }
                }
                frame += 1;
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );

    // An error to start lies on the bus, as others do.
    let _ = pipeline.set_state(gst::State::Playing);
    let watched = metrics.watch(camera, &detector);
    let ended = wait_for_end(&pipeline);
    let stats: gst::Structure = detector.property("stats");
    drop(watched);
    pipeline.set_state(gst::State::Null)?;
    println!("camera {camera}: {} frames", stats.get::<u64>("frames-out")?);
    ended
}

fn wait_for_end(pipeline: &gst::Pipeline) -> Result<(), Box<dyn Error>> {
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    loop {
        let message = bus.timed_pop(gst::ClockTime::NONE).ok_or("the bus is gone")?;
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(()),
            gst::MessageView::Error(error) => return Err(error.error().to_string().into()),
            // The time of a run has outgrown what was promised.
            gst::MessageView::Latency(_) => pipeline.recalculate_latency()?,
            _ => {}
        }
    }
}
