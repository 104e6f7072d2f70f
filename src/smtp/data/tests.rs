use super::*;
use proptest::prelude::*;

const LIMIT: usize = 10_000;

/// The same by looking at the whole at once: gives the message and what lies behind its end.
fn naive(input: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    const END: &[u8] = b"\r\n.\r\n";
    let whole = [b"\r\n", input].concat();
    let at = whole.windows(END.len()).position(|window| window == END)?;
    let stuffed = whole.get(..at + 2)?;
    let message = unstuffed(stuffed).split_off(2);
    Some((message, input.get(at + 3..)?))
}

fn unstuffed(mut text: &[u8]) -> Vec<u8> {
    const DOT: &[u8] = b"\r\n.";
    let mut out = Vec::new();
    while let Some(at) = text.windows(DOT.len()).position(|window| window == DOT) {
        out.extend_from_slice(text.get(..at + 2).unwrap());
        text = text.get(at + 3..).unwrap();
    }
    out.extend_from_slice(text);
    out
}

/// What was read, and the octets behind its end.
type Ended<'a> = (Result<Vec<u8>, Dropped>, &'a [u8]);

/// Reads in pieces of the given lengths, the last of which is used for all that remains.
fn in_pieces<'a>(input: &'a [u8], lengths: &[usize], limit: usize) -> Option<Ended<'a>> {
    let mut reader = Reader::new(limit, None);
    let (mut rest, mut lengths) = (input, lengths.iter().copied().chain(std::iter::repeat(lengths.len() + 1)));
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(lengths.next().unwrap().clamp(1, rest.len()));
        if let Some(used) = reader.read(piece) {
            return Some((reader.finish(), rest.get(used..).unwrap()));
        }
        rest = after;
    }
    None
}

fn read(input: &[u8]) -> Option<Vec<u8>> {
    in_pieces(input, &[input.len()], LIMIT).map(|(message, _)| message.unwrap())
}

#[test]
fn a_message_ends_at_a_dot_alone_on_its_line() {
    assert_eq!(read(b"Subject: x\r\n\r\nbody\r\n.\r\n").unwrap(), b"Subject: x\r\n\r\nbody\r\n");
    assert_eq!(read(b".\r\n").unwrap(), b"");
    assert_eq!(read(b"\r\n.\r\n").unwrap(), b"\r\n");
}

#[test]
fn stuffed_dots_are_taken_off_and_other_dots_stay() {
    assert_eq!(read(b"..\r\n.\r\n").unwrap(), b".\r\n", "a message that is just a dot");
    assert_eq!(read(b"..a\r\n...b\r\nc.\r\n.d\r\n.\r\n").unwrap(), b".a\r\n..b\r\nc.\r\nd\r\n");
    assert_eq!(read(b"a\n.b\r.c\r\n.\r\n").unwrap(), b"a\n.b\r.c\r\n", "no line starts behind a bare LF or CR");
}

#[test]
fn every_octet_survives() {
    let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    let input = [&all, b"\r\n.\r\n".as_slice()].concat();
    assert_eq!(read(&input).unwrap(), [&all, b"\r\n".as_slice()].concat());
}

#[test]
fn a_false_end_of_data_ends_nothing() {
    let falses: [&[u8]; 12] = [
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r.\r",
        b"\n.\r",
        b"\r.\n",
        b"\0\r\n.\0\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\r\0\n",
        b"\r\0\n.\r\n",
    ];
    for end in falses {
        for mail in [
            [b"a", end, b"b"].concat(),
            [end, b"b"].concat(),
            [b"a", end, end, b"b"].concat(),
            [b"a\r\n", end, b"b"].concat(),
        ] {
            assert_eq!(read(&mail), None, "{}", mail.escape_ascii());
            let ended = [mail.as_slice(), b"\r\n.\r\n"].concat();
            let message = read(&ended).unwrap();
            assert_eq!(message, naive(&ended).unwrap().0, "{}", ended.escape_ascii());
            assert!(message.ends_with(b"b\r\n"), "{}", ended.escape_ascii());
        }
    }
}

#[test]
fn what_follows_the_end_is_left_alone() {
    assert_eq!(in_pieces(b"a\r\n.\r\nQUIT\r\n", &[99], LIMIT), Some((Ok(b"a\r\n".to_vec()), b"QUIT\r\n".as_slice())));
}

#[test]
fn a_message_as_large_as_the_limit_is_kept_and_one_octet_more_is_not() {
    assert_eq!(in_pieces(b"12345678\r\n.\r\n", &[1], 10), Some((Ok(b"12345678\r\n".to_vec()), b"".as_slice())));
    let larger = in_pieces(b"123456789\r\n.\r\nRSET\r\n", &[3], 10);
    assert_eq!(larger, Some((Err(Dropped::TooLarge), b"RSET\r\n".as_slice())), "read to the true end all the same");
}

#[test]
fn endless_data_without_a_line_end_holds_no_memory() {
    let mut reader = Reader::new(1 << 20, Some(u64::MAX));
    for _ in 0..1_024 {
        assert_eq!(reader.read(&[b'x'; 64 * 1024]), None);
        assert!(reader.held() <= 2 << 20);
    }
    assert_eq!(reader.held(), 0);
    assert_eq!(reader.read(b"\r\n.\r\n"), Some(5));
    assert_eq!(reader.finish(), Err(Dropped::TooLarge));
}

#[test]
fn a_shed_message_is_read_to_its_end_and_not_kept() {
    let mut reader = Reader::new(LIMIT, Some(100));
    assert_eq!(reader.read(b"abc"), None);
    reader.shed();
    assert_eq!(reader.held(), 0);
    assert_eq!(reader.read(b"def\r\n.\r\n"), Some(8));
    assert_eq!(reader.finish(), Err(Dropped::NoRoom));
}

/// Octets that matter to the end of data far more often than others.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![4 => Just(b'\r'), 4 => Just(b'\n'), 4 => Just(b'.'), 1 => Just(0u8), 1 => any::<u8>()];
    prop::collection::vec(octet, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn however_it_is_cut_the_message_is_that_of_the_naive_model(
        input in octets(),
        closed in any::<bool>(),
        lengths in prop::collection::vec(1usize..7, 0..40),
    ) {
        let input = if closed { [&input, b"\r\n.\r\nNOOP\r\n".as_slice()].concat() } else { input };
        let expected = naive(&input).map(|(message, rest)| (Ok(message), rest));
        prop_assert_eq!(in_pieces(&input, &lengths, LIMIT), expected);
    }

    #[test]
    fn however_it_is_cut_a_message_beyond_the_limit_ends_where_it_ends(
        input in octets(),
        lengths in prop::collection::vec(1usize..7, 0..40),
        limit in 0usize..40,
    ) {
        let input = [&input, b"\r\n.\r\n".as_slice()].concat();
        let (message, rest) = naive(&input).unwrap();
        let expected = if message.len() <= limit { Ok(message) } else { Err(Dropped::TooLarge) };
        prop_assert_eq!(in_pieces(&input, &lengths, limit), Some((expected, rest)));
    }
}
