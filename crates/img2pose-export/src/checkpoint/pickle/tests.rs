//! The pickle reader on bytes written by hand.

use super::*;

fn parse(body: &[u8]) -> Result<Pickle<'_>, PickleError> {
    Pickle::parse(body)
}

fn root(body: &[u8]) -> Value<'_> {
    let pickle = parse(body).unwrap();
    pickle.value(pickle.root()).clone()
}

#[test]
fn plain_values() {
    for (body, expected) in [
        (&b"N."[..], Value::None),
        (b"\x88.", Value::Bool(true)),
        (b"I01\n.", Value::Bool(true)),
        (b"K\xff.", Value::Int(255)),
        (b"M\x00\x01.", Value::Int(256)),
        (b"J\xfe\xff\xff\xff.", Value::Int(-2)),
        (b"\x8a\x02\x00\xff.", Value::Int(-256)),
        (b"\x8a\x00.", Value::Int(0)),
        (b"L12L\n.", Value::Int(12)),
        (b"G\x3f\xf8\x00\x00\x00\x00\x00\x00.", Value::Float(1.5)),
        (b"F1.5\n.", Value::Float(1.5)),
        (b"X\x02\x00\x00\x00\xc3\xa9.", Value::Str("é")),
        (b"\x8c\x01a.", Value::Str("a")),
        (b"\x8d\x01\x00\x00\x00\x00\x00\x00\x00a.", Value::Str("a")),
        (b"Va\n.", Value::Str("a")),
        (b"C\x01a.", Value::Bytes),
    ] {
        assert_eq!(root(body), expected, "{body:?}");
    }
}

#[test]
fn containers_memo_and_marks() {
    // {'a': [1, 2], 'b': the same list}, with the list put into the memo before it is filled.
    let pickle = parse(b"}(X\x01\x00\x00\x00a]q\x01(K\x01K\x02eX\x01\x00\x00\x00bh\x01u.").unwrap();
    let entries: Vec<_> = pickle.entries(pickle.root()).collect();
    assert_eq!(entries[0].0, "a");
    assert_eq!(entries[0].1, entries[1].1);
    assert!(matches!(pickle.value(entries[0].1), Value::List(items) if items.len() == 2));
    // Protocol 4: frame, memoise, short text, tuple of two.
    let pickle =
        Pickle::parse(b"\x80\x04\x95\x09\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94h\x00\x86\x94.").unwrap();
    assert!(matches!(pickle.value(pickle.root()), Value::Tuple(items) if items[0] == items[1]));
    // DUP, POP, POP_MARK, SETITEM, APPEND, and the containers of protocol 0.
    assert!(matches!(root(b"}K\x012s(K\x01K\x021K\x050."), Value::Dict(pairs) if pairs.len() == 1));
    assert!(matches!(root(b"(K\x01K\x02lK\x03a."), Value::List(items) if items.len() == 3));
    assert!(matches!(root(b"(K\x01K\x02d."), Value::Dict(pairs) if pairs.len() == 1));
}

const FLOATS: &[u8] =
    b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x007X\x03\x00\x00\x00cpuK\x06tQ";

#[test]
fn tensors_and_parameters() {
    let tensor = [
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        FLOATS,
        b"K\x01(K\x02K\x02t(K\x01K\x03t\x89ccollections\nOrderedDict\n)RtR",
    ]
    .concat();
    let expected = Value::Tensor(Arc::new(Tensor {
        storage: Arc::new(Storage {
            key: "7".to_owned(),
            element: ElementType::F32,
            len: 6,
        }),
        offset: 1,
        shape: vec![2, 2],
        stride: vec![1, 3],
    }));
    assert_eq!(root(&[&tensor[..], b"."].concat()), expected);
    let parameter = [b"ctorch._utils\n_rebuild_parameter\n(", &tensor[..], b"\x88}tR."].concat();
    assert_eq!(root(&parameter), expected);
}

#[test]
fn everything_that_would_run_code_is_refused_by_name() {
    let global = |name: &str| PickleError::Global(name.to_owned());
    for (body, expected) in [
        (
            &b"cposix\nsystem\n(X\x02\x00\x00\x00lstR."[..],
            global("posix.system"),
        ),
        (b"c__builtin__\neval\n.", global("__builtin__.eval")),
        (b"\x8c\x02os\x8c\x06system\x93.", global("os.system")),
        (b"ctorch\nload\n.", global("torch.load")),
        (
            b"ctorch._utils\n_rebuild_tensor_v3\n.",
            global("torch._utils._rebuild_tensor_v3"),
        ),
        (b"(ios\nsystem\n.", global("os.system")),
        (
            b"K\x01)R.",
            PickleError::Call("call something that is not a function"),
        ),
        (
            b"ctorch\nFloatStorage\n)R.",
            PickleError::Call("call a storage type"),
        ),
        (
            b"ccollections\nOrderedDict\n)\x81.",
            PickleError::Call("make an object"),
        ),
        (
            b"(ccollections\nOrderedDict\no.",
            PickleError::Call("make an object"),
        ),
        (b"K\x01}b.", PickleError::Call("set the state of an object")),
        (b"\x82\x01.", PickleError::Call("use a registered extension")),
    ] {
        assert_eq!(
            parse(body).unwrap_err(),
            expected,
            "{:?}",
            body.escape_ascii().to_string()
        );
    }
}

#[test]
fn every_truncation_is_an_error() {
    let whole = [
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n",
        FLOATS,
        b"K\x00(K\x06t(K\x01t\x89ccollections\nOrderedDict\n)RtR.",
    ]
    .concat();
    Pickle::parse(&whole).unwrap();
    for length in 0..whole.len() {
        assert!(Pickle::parse(&whole[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn broken_programs_are_errors() {
    for body in [
        &b"."[..],
        b"0.",
        b"(t0K\x01(0.",
        b"u.",
        b"a.",
        b"}(K\x01u.",
        b"h\x05.",
        b"K\x01K\x02a.",
        b"K\x01Q.",
        b"ccollections\nOrderedDict\nK\x01R.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02K\x03K\x04tR.",
        b"X\xff\xff\xff\xffa.",
        b"X\x01\x00\x00\x00\xff.",
        b"\xff.",
    ] {
        assert!(parse(body).is_err(), "{:?}", body.escape_ascii().to_string());
    }
}

#[test]
fn depth_and_sharing_cost_nothing() {
    // 300,000 nested tuples, and fifty doublings of a tuple that would be 2^50 values if they were copied.
    let deep = [&b")"[..], &vec![0x85; 300_000], b"."].concat();
    drop(parse(&deep).unwrap());
    let wide = [&b"K\x01"[..], &b"2\x86".repeat(50), b"."].concat();
    assert!(matches!(root(&wide), Value::Tuple(items) if items[0] == items[1]));
}

/// A byte that makes an empty value used to take 120 bytes of memory, without end.
#[test]
fn memory_of_values_is_held_against_the_length() {
    for one in [
        &b")"[..],
        b"]",
        b"}",
        b"N",
        b"\x94",
        b"(",
        b"]\x94",
        b"(l",
        b"2\x94",
    ] {
        let many = [b"N", &one.repeat(2 << 20)[..], b"."].concat();
        match parse(&many) {
            Err(PickleError::Memory { budget, .. }) => {
                assert_eq!(budget, (16 << 20) + 16 * many.len() as u64);
            }
            // Within it.
            other => assert!(
                one.len() > 1 || one == b"(" || one == b"\x94",
                "{one:?}: {other:?}"
            ),
        }
    }
    // What real checkpoints hold beside their tensors, such as a loss for each step.
    let losses = [
        b"](",
        &b"G\x3f\xf8\x00\x00\x00\x00\x00\x00".repeat(1 << 18)[..],
        b"e.",
    ]
    .concat();
    assert!(matches!(root(&losses), Value::List(items) if items.len() == 1 << 18));
}

/// Each use of a long name, or of a tuple of sizes, used to copy it.
#[test]
fn values_that_are_used_again_are_not_copied() {
    assert!(size_of::<Value>() <= 32);
    let key = [b"X\x00\x00\x10\x00".to_vec(), vec![b'k'; 1 << 20]].concat();
    let storage = [
        &b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n"[..],
        &key,
        b"X\x03\x00\x00\x00cpuK\x06tq\x01Q",
        &b"h\x01Q".repeat(1000),
        b".",
    ]
    .concat();
    assert!(matches!(
        parse(&storage),
        Err(PickleError::Malformed {
            what: "not a tensor storage",
            ..
        })
    ));
    // The name of a global.
    let names = [&key[..], b"q\x01h\x01\x93."].concat();
    let Err(PickleError::Global(name)) = parse(&names) else {
        panic!("a global of 2 MiB is no global")
    };
    assert!(name.len() < 200, "{} bytes", name.len());
    // Sizes along a thousand axes.
    let sizes = [b"(".to_vec(), b"K\x01".repeat(1000), b"tq\x02".to_vec()].concat();
    let tensor = [
        FLOATS,
        b"q\x03",
        &sizes,
        b"ctorch._utils\n_rebuild_tensor_v2\n(h\x03K\x00h\x02h\x02tR.",
    ]
    .concat();
    assert!(matches!(
        parse(&tensor),
        Err(PickleError::Malformed {
            what: "unexpected arguments of a tensor",
            ..
        })
    ));
}
