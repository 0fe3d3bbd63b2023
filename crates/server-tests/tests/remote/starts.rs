//! What is said when a detector cannot start, and what is sent when it can.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use img2pose::{Detector, Error, ExecutionProvider, Model, Precision, ServerOptions};
use server_tests::{Behaviour, FakeServer, Infer, MODEL, tls};
use test_support::{shipped_model_in_8_bits, small_pair_model};

use super::support::*;

fn refused(server: ServerOptions) -> String {
    connect(server).unwrap_err().to_string()
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

#[test]
fn a_port_that_is_closed_and_a_name_that_does_not_exist() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("grpc://127.0.0.1:{port}");
    assert_has(
        &refused(server(&url).with_timeout(SHORT)),
        &[&url, MODEL, "refused", "running", "400ms"],
    );
    let url = "grpc://img2pose.invalid:8001";
    assert_has(&refused(server(url).with_timeout(SHORT)), &[url, "running"]);
}

#[test]
fn a_server_that_says_nothing() {
    // It takes connections and does not read from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("grpc://{}", silent.local_addr().unwrap());
    assert_has(&refused(server(&url).with_timeout(SHORT)), &[&url, "400ms"]);
}

#[test]
fn a_server_or_model_that_is_not_ready_is_waited_for() {
    for is_server in [true, false] {
        let behaviour = Behaviour {
            server_ready: !is_server,
            model_ready: is_server,
            ..Behaviour::default()
        };
        let fake = FakeServer::start_with(served(), behaviour);
        assert_has(&refused(server(&fake.url()).with_timeout(SHORT)), &["not ready"]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| connect(server(&fake.url())));
            fake.tell(|behaviour| (behaviour.server_ready, behaviour.model_ready) = (true, true));
            waiting.join().unwrap().unwrap();
        });
    }
}

#[test]
fn another_model_name_version_or_kind() {
    let fake = FakeServer::start(served());
    let began = Instant::now();
    let text = refused(ServerOptions::new(fake.url(), "cars").with_timeout(Duration::from_secs(3600)));
    assert_has(&text, &["unknown model", "'cars'"]);
    let text = refused(server(&fake.url()).with_version("7".to_owned()));
    assert_has(&text, &["version '7'"]);
    assert!(
        began.elapsed() < Duration::from_secs(1800),
        "it is not tried again"
    );
    connect(server(&fake.url()).with_version("1".to_owned())).unwrap();

    let mut metadata = served().metadata(MODEL);
    "FP32".clone_into(&mut metadata.inputs[0].datatype);
    fake.tell(|behaviour| behaviour.metadata = Some(metadata));
    assert_has(
        &refused(server(&fake.url())),
        &["'pixels' of FP32", "UINT8", "serve-model"],
    );
    // Servers that tell nothing of their model are believed until it answers.
    fake.tell(|behaviour| behaviour.metadata = Some(Default::default()));
    connect(server(&fake.url())).unwrap();
}

#[test]
fn another_file_than_the_one_there() {
    let fake = FakeServer::start(served());
    let model = Model::open(&shipped_model_in_8_bits()).unwrap();
    let error = Detector::load(&model, options().with_server(server(&fake.url()))).unwrap_err();
    assert!(matches!(error, Error::Server { .. }));
    assert_has(
        &error.to_string(),
        &["contract", &model.for_server().unwrap().contract, "serve-model"],
    );
}

#[test]
fn messages_that_are_too_long_for_the_server() {
    let fake = FakeServer::start(served());
    let mut detector = remote(&fake);
    fake.tell(|behaviour| behaviour.most_bytes = 1000);
    assert_has(
        &detect(&mut detector, 0).unwrap_err().to_string(),
        &["more than 1000", "batch size"],
    );
    assert_has(&refused(server(&fake.url())), &["batch size"]);
}

#[test]
fn headers_are_sent_and_not_shown() {
    let fake = FakeServer::start(served());
    let token = ("authorization".to_owned(), "Bearer secret".to_owned());
    fake.tell(|behaviour| behaviour.wanted_header = Some(token.clone()));
    let wrong = vec![(token.0.clone(), "Bearer wrong".to_owned())];
    let text = refused(server(&fake.url()).with_headers(wrong));
    assert_has(&text, &["no header authorization", "headers"]);
    assert!(!text.contains("wrong"), "{text}");
    let mut detector = connect(server(&fake.url()).with_headers(vec![token])).unwrap();
    detect(&mut detector, 0).unwrap();
    assert!(!format!("{detector:?}").contains("secret"));
}

#[test]
fn certificates() {
    let folder = std::env::temp_dir().join(format!("img2pose-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let names = ["right", "wrong"].map(|name| tls::certificate(&folder, name));
    let [Some(right), Some(wrong)] = names else {
        test_support::skip("server-tests certificates", "no openssl on this machine");
        return;
    };
    let fake = FakeServer::start_safe(served(), tls::acceptor(&right));
    let trusting = |file: &tls::Certificate| server(&fake.url()).with_authorities(file.certificate.clone());
    let mut detector = connect(trusting(&right)).unwrap();
    detect(&mut detector, 0).unwrap();
    // At once, whatever the time for an answer is.
    let began = Instant::now();
    let text = refused(trusting(&wrong).with_timeout(Duration::from_secs(3600)));
    assert_has(&text, &["certificate", "authorities"]);
    assert!(began.elapsed() < Duration::from_secs(1800));
    let nothing = folder.join("nothing.pem");
    std::fs::write(&nothing, "nothing").unwrap();
    let safe = || server(&fake.url());
    assert_has(
        &refused(safe().with_authorities(nothing.clone())),
        &["nothing.pem", "no certificate"],
    );
    let missing = folder.join("missing.pem");
    assert_has(&refused(safe().with_authorities(missing)), &["missing.pem"]);
    let text = refused(safe().with_client((nothing.clone(), nothing.clone())));
    assert_has(&text, &["TLS cannot be set up"]);
    let open = server("grpc://127.0.0.1:1").with_authorities(nothing);
    assert_has(&refused(open), &["grpcs://"]);
    // In the clear to a server that wants TLS.
    let clear = fake.url().replace("grpcs", "grpc");
    refused(server(&clear).with_timeout(SHORT));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn options_that_contradict_a_server() {
    let fake = FakeServer::start(served());
    let with = |options: img2pose::DetectorOptions| {
        let options = options.with_server(server(&fake.url()));
        Detector::load(model(), options).unwrap_err().to_string()
    };
    assert_has(
        &with(options().with_execution_provider(ExecutionProvider::Cuda)),
        &["execution_provider is cuda", "auto", "server"],
    );
    assert_has(
        &with(options().with_precision(Precision::Fp16)),
        &["precision is fp16"],
    );
    assert_has(&with(options().with_whole(true)), &["whole"]);
    for url in [
        "127.0.0.1:1",
        "grpc://host",
        "ftp://host:1",
        "grpc://host:0",
        "grpc://h:1/x",
        "",
    ] {
        assert_has(&refused(server(url)), &["grpc://HOST:PORT"]);
    }
    let text = refused(server("grpc://me:secret@host:1"));
    assert_has(&text, &["headers"]);
    assert!(!text.contains("secret"), "{text}");
    for (name, value) in [("a b", "secret"), ("token", "sec\nret")] {
        let header = vec![(name.to_owned(), value.to_owned())];
        let text = refused(server(&fake.url()).with_headers(header));
        assert_has(&text, &[name]);
        assert!(!text.contains("sec"), "{text}");
    }
    assert_has(
        &refused(server(&fake.url()).with_timeout(Duration::ZERO)),
        &["timeout"],
    );
    assert_has(&refused(server(&fake.url()).with_requests(0)), &["requests"]);
    assert_has(
        &refused(ServerOptions::new(fake.url(), "")),
        &["server model is empty"],
    );
    assert!(fake.batches().is_empty(), "nothing is sent");

    let pair = Model::open(small_pair_model()).unwrap();
    let error = Detector::load(&pair, options().with_server(server(&fake.url()))).unwrap_err();
    assert_has(&error.to_string(), &["find-and-look", "img2pose network"]);
    assert!(pair.for_server().is_err());
}

/// The trial at the start is judged like any answer.
#[test]
fn a_model_that_answers_nonsense() {
    let behaviour = Behaviour {
        then: Infer::changed(|response| response.outputs.clear()),
        ..Behaviour::default()
    };
    let fake = FakeServer::start_with(served(), behaviour);
    assert_has(&refused(server(&fake.url())), &["gave nothing", "serve-model"]);
}
