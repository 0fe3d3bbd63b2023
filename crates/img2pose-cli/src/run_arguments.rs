//! The arguments of `img2pose run`, which the program reads to refuse what is wrong, and `img2pose-run` to do it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

/// Find the faces in a video, a camera, an address, or every file of a folder
///
/// Leaves one JSON line for each frame, the video with the faces drawn into it, or just says what it found. Ctrl-C ends it, and what
/// was found until then is kept.
#[derive(Args, Debug)]
pub struct RunArguments {
    /// Video or picture; camera by its number (0) or device (/dev/video0); address such as rtsp://...; folder of pictures and videos
    pub source: String,

    /// File for the JSON lines, one for each frame; - for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// File for the video with the faces drawn into it, .mp4 or .mkv. A video that players turn by a tag (phones) has the tag in .mp4, too; in
    /// .mkv, which has none, its pixels are turned
    #[arg(long, value_name = "FILE")]
    pub annotated: Option<PathBuf>,

    /// Show it in a page in the browser, at a port of this machine; stays until Ctrl-C [default: 127.0.0.1:8477; port 0: any that is free]
    #[arg(long, value_name = "[ADDRESS:]PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:8477", value_parser = address)]
    pub view: Option<SocketAddr>,

    /// The page may be at an address that other machines reach, such as 0.0.0.0:8477; it then asks for a token, which is printed with
    /// the page's address, or taken from IMG2POSE_VIEW_TOKEN
    #[arg(long, requires = "view")]
    pub view_remote: bool,

    /// Show it in a window, until the window is closed or Ctrl-C; frames that the screen has no time for are not shown
    #[arg(long)]
    pub show: bool,

    /// Model, an ONNX file [default: the one that comes with the plugin]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,

    /// Frames that go through the network in one run [default: 8; 1 for cameras and pictures]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub batch_size: Option<u32>,

    /// Lowest confidence of a face, 0 to 1
    #[arg(long, value_name = "X", default_value_t = 0.5, value_parser = share)]
    pub score_threshold: f32,

    /// Number format of the network, such as fp32 or int8 [default: what the element chooses; for cameras int8, where the processor has
    /// instructions for it (VNNI) and the model is the plugin's own]
    #[arg(long, value_name = "FORMAT")]
    pub precision: Option<String>,

    /// Look at every n-th frame as a whole, and in between only around the faces [default: 1; 15 for cameras]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub whole_frame_interval: Option<u32>,

    /// Look at every n-th frame only; the others have a line only with --track, with the faces where they should be by then [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub inference_interval: Option<u32>,

    /// Follow faces: each has an id, a calm box and pose; on for cameras
    #[arg(long)]
    pub track: bool,

    /// With --track: hold up to so many frames back until the faces are seen again, and put them between the two places; n - 1 with
    /// --inference-interval n. Delays cameras by as much [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=250))]
    pub look_ahead: Option<u32>,

    /// No progress and no summary
    #[arg(long)]
    pub quiet: bool,
}

fn share(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| "it is no number".to_owned())?;
    match (0.0..=1.0).contains(&number) {
        true => Ok(number),
        false => Err("it is a number from 0 to 1".to_owned()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok((IpAddr::from(Ipv4Addr::LOCALHOST), port).into());
    }
    let text = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    // `img2pose run --view clip.mp4` reads the clip as an address.
    text.parse().map_err(|_| {
        "it is a port, or an address and a port such as 127.0.0.1:8477; the source stands before --view"
            .to_owned()
    })
}
