//! Prints how every head is turned and where it is, from an `appsink` at the end of a pipeline.
//!
//! ```sh
//! cargo run --release --example print_poses -- 'filesrc location=in.mp4 ! decodebin ! videoconvert ! img2posedetect'
//! ```
//!
//! The plugin is linked in; ONNX Runtime is loaded as always, see `ORT_DYLIB_PATH`.

use std::error::Error;
use std::process::ExitCode;

use gst::prelude::*;
use gstimg2pose::meta;
use img2pose::pose::yaw_pitch_roll;

fn main() -> ExitCode {
    if let Err(error) = run() {
        eprintln!("print_poses: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(description) = std::env::args().nth(1) else {
        return Err("usage: print_poses 'PIPELINE'".into());
    };
    gst::init()?;
    gstimg2pose::plugin_register_static()?;

    let pipeline = gst::parse::launch(&format!("{description} ! appsink name=end"))?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let appsink = pipeline
        .by_name("end")
        .and_then(|element| element.downcast::<gst_app::AppSink>().ok())
        .ok_or("no appsink")?;
    // As fast as frames come; memory stays bounded, because the pipeline waits for us.
    appsink.set_sync(false);
    appsink.set_max_buffers(8);

    // Why it does not start lies on the bus.
    let printed = match pipeline.set_state(gst::State::Playing) {
        Ok(_) => print(&pipeline, &appsink),
        Err(error) => Err(error.into()),
    };
    let failure = error_of(&pipeline);
    pipeline.set_state(gst::State::Null)?;
    failure?;
    printed
}

/// Prints frame after frame until the end of the stream or an error.
fn print(pipeline: &gst::Pipeline, appsink: &gst_app::AppSink) -> Result<(), Box<dyn Error>> {
    let mut frame = 0_u64;
    loop {
        // Now and then the bus is looked at: after an error upstream, of a file that cannot be decoded, say, nothing may
        // ever come here, not even the end.
        let Some(sample) = appsink.try_pull_sample(gst::ClockTime::from_mseconds(500)) else {
            error_of(pipeline)?;
            if appsink.is_eos() {
                return Ok(());
            }
            continue;
        };
        let buffer = sample.buffer().ok_or("a sample without a buffer")?;
        match meta::read(buffer)? {
            None => println!("frame {frame}: not looked at"),
            Some(found) => {
                // Nobody looked at it, its faces are those of an earlier one: reuse-faces, img2posetrack.
                let reused = if found.reused { ", reused" } else { "" };
                println!("frame {frame}: {} faces{reused}", found.faces.len());
                for (index, face) in found.faces.iter().enumerate() {
                    let [yaw, pitch, roll] = yaw_pitch_roll(&face.pose);
                    let [_, _, _, x, y, z] = face.pose;
                    // Who it is through time, behind img2posetrack.
                    let who = found.track(index).map_or(String::new(), |track| {
                        format!(" {} {}", track.id, track.state.name())
                    });
                    println!(
                        " {who} {:.0} %: yaw {yaw:.1}, pitch {pitch:.1}, roll {roll:.1} degrees, at {x:.2} {y:.2} {z:.2}",
                        100.0 * face.confidence
                    );
                }
            }
        }
        frame += 1;
    }
}

/// The error that the pipeline has posted, if any.
fn error_of(pipeline: &gst::Pipeline) -> Result<(), Box<dyn Error>> {
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    match bus.pop_filtered(&[gst::MessageType::Error]) {
        Some(message) => match message.view() {
            // What went wrong, and the file or the address that it went wrong with.
            gst::MessageView::Error(error) => {
                Err(format!("{}\n{}", error.error(), error.debug().unwrap_or_default()).into())
            }
            _ => Ok(()),
        },
        None => Ok(()),
    }
}
