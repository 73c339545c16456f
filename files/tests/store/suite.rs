//! What holds for every kind of store.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tidings_files::{FileId, Files, FilesError, Limits, NewUpload, Owner, Progress, id};
use tidings_node::Clock;

pub const ALICE: Owner<'static> = Owner { app: "app", user: "alice" };
pub const BOB: Owner<'static> = Owner { app: "app", user: "bob" };
const ELSEWHERE: Owner<'static> = Owner { app: "other", user: "alice" };
const DAY_MS: i64 = 24 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;

/// A store, and gateways that have nothing in common but it and the clock.
pub trait World {
    fn clock(&self) -> &Clock;
    /// A gateway that knows the store.
    fn gateway(&self) -> impl Future<Output = Files>;
    /// The paths of all objects.
    fn objects(&self) -> impl Future<Output = Vec<String>>;
    /// Puts one there, and takes one away, whoever else does what.
    fn put(&self, path: &str, bytes: &[u8]) -> impl Future<Output = ()>;
    fn remove(&self, path: &str) -> impl Future<Output = ()>;
}

/// The tests of all that holds, for worlds that an expression makes.
macro_rules! holds {
    ($world:expr => $($case:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::suite::$case(&$world).await;
            }
        )*
    };
    ($world:expr) => {
        $crate::suite::holds! { $world =>
            an_upload_goes_on_at_another_gateway,
            two_at_once_do_no_harm,
            repeated_bytes_are_not_stored_twice,
            others_find_nothing,
            limits_hold,
            only_what_is_named_stays,
            a_name_and_the_sweep_agree,
            given_up_is_gone,
            a_gateway_that_ends_after_the_last_byte_leaves_a_file_to_be_made,
            many_small_parts_are_one_file,
            a_link_is_good_at_another_gateway_until_its_time,
        }
    };
}
pub(crate) use holds;

pub fn limits() -> Limits {
    Limits { max_bytes: 100 << 20, types: Vec::new() }
}

fn new(size: u64, media_type: &str) -> NewUpload {
    NewUpload { size, name: "ä file".to_owned(), media_type: media_type.to_owned() }
}

/// Bytes that no two parts have in common, the same for each run.
pub fn content(bytes: usize) -> Bytes {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let mut state = SEED.fetch_add(1, Ordering::Relaxed);
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

pub async fn send(
    files: &Files,
    owner: Owner<'_>,
    id: &FileId,
    offset: u64,
    bytes: Bytes,
) -> Result<Progress, FilesError> {
    let mut upload = files.resume(owner, id, offset).await?;
    upload.push(bytes).await?;
    upload.finish().await
}

pub async fn uploaded(files: &Files, bytes: Bytes) -> FileId {
    let (id, _) = files.create(ALICE, new(bytes.len() as u64, ""), &limits()).await.unwrap();
    send(files, ALICE, &id, 0, bytes).await.unwrap();
    id
}

pub async fn read(files: &Files, id: &FileId, range: std::ops::Range<u64>) -> Vec<u8> {
    let file = files.file("app", id).await.unwrap();
    let read = files.read("app", id, &file, range).unwrap();
    read.try_fold(Vec::new(), async |all, bytes| Ok([all, bytes.to_vec()].concat())).await.unwrap()
}

/// One gateway begins, another one goes on, a third one gives it out; what one process knew does not matter.
pub async fn an_upload_goes_on_at_another_gateway(world: &impl World) {
    let (one, two, three) = (&world.gateway().await, &world.gateway().await, &world.gateway().await);
    // Three parts, the last ones cut where the connection was.
    let bytes = content((9 << 20) + 17);
    let (id, progress) = one.create(ALICE, new(bytes.len() as u64, ""), &limits()).await.unwrap();
    assert_eq!((progress.offset, progress.size), (0, bytes.len() as u64));
    let cut = (5 << 20) + 3;
    let progress = send(one, ALICE, &id, 0, bytes.slice(..cut)).await.unwrap();
    assert_eq!(progress.offset, cut as u64);
    assert_eq!(two.progress(ALICE, &id).await.unwrap().offset, cut as u64);
    let incomplete = two.complete(ALICE, &id).await;
    assert!(matches!(incomplete, Err(FilesError::Incomplete { offset, .. }) if offset == cut as u64));
    assert!(matches!(two.file("app", &id).await, Err(FilesError::NotFound)), "half of a file is none");
    assert!(matches!(two.claim("app", &id).await, Err(FilesError::NotFound)));
    let progress = send(two, ALICE, &id, cut as u64, bytes.slice(cut..)).await.unwrap();
    assert_eq!(progress.offset, bytes.len() as u64);

    let file = three.complete(ALICE, &id).await.unwrap();
    assert_eq!(
        (file.size, file.media_type.as_str(), file.name.as_str()),
        (bytes.len() as u64, "application/octet-stream", "ä file")
    );
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    assert_eq!(id::hex(&file.sha256), id::hex(hash.as_ref()));
    let (size, part) = (bytes.len() as u64, 4u64 << 20);
    for range in
        [0..size, 0..1, size - 1..size, part - 1..part + 1, part..part + 1, cut as u64 - 1..cut as u64 + 1, 7..7]
    {
        let expected = &bytes[range.start as usize..range.end as usize];
        assert!(read(three, &id, range.clone()).await == expected, "{range:?}");
    }
}

/// Two who write at the same place: one does, the other one is told where it goes on.
pub async fn two_at_once_do_no_harm(world: &impl World) {
    for _ in 0..10 {
        two_at_once([&world.gateway().await, &world.gateway().await]).await;
    }
}

async fn two_at_once(gateways: [&Files; 2]) {
    let (first, second) = (content(1 << 20), content(1 << 20));
    let (id, _) = gateways[0].create(ALICE, new(1 << 20, ""), &limits()).await.unwrap();
    let mut one = gateways[0].resume(ALICE, &id, 0).await.unwrap();
    let mut two = gateways[1].resume(ALICE, &id, 0).await.unwrap();
    one.push(first.clone()).await.unwrap();
    two.push(second.clone()).await.unwrap();
    let (one, two) = tokio::join!(one.finish(), two.finish());
    let (winner, loser) = match (one, two) {
        (Ok(_), Err(error)) => (first, error),
        (Err(error), Ok(_)) => (second, error),
        both => panic!("one of them wins: {both:?}"),
    };
    assert!(matches!(loser, FilesError::Offset { offset } if offset == 1 << 20), "{loser:?}");
    assert!(read(gateways[0], &id, 0..1 << 20).await == winner);
    let again = send(gateways[1], ALICE, &id, 0, content(5)).await;
    assert!(matches!(again, Err(FilesError::Offset { .. })), "{again:?}");
}

/// A client that repeats what arrived, because the answer was lost, is told where it is.
pub async fn repeated_bytes_are_not_stored_twice(world: &impl World) {
    let files = &world.gateway().await;
    let bytes = content(100_000);
    let (id, _) = files.create(ALICE, new(200_000, ""), &limits()).await.unwrap();
    let (mut one, mut two) = (files.resume(ALICE, &id, 0).await.unwrap(), files.resume(ALICE, &id, 0).await.unwrap());
    one.push(bytes.clone()).await.unwrap();
    two.push(bytes.clone()).await.unwrap();
    assert_eq!(one.finish().await.unwrap().offset, 100_000);
    // The same bytes at the same place are as good.
    assert_eq!(two.finish().await.unwrap().offset, 100_000);
    assert_eq!(files.progress(ALICE, &id).await.unwrap().offset, 100_000);
}

/// An upload is its owner's, and a file its app's.
pub async fn others_find_nothing(world: &impl World) {
    let files = &world.gateway().await;
    let (id, _) = files.create(ALICE, new(10, ""), &limits()).await.unwrap();
    for stranger in [BOB, ELSEWHERE, Owner { app: "..", user: "alice" }] {
        assert!(matches!(files.progress(stranger, &id).await, Err(FilesError::NotFound)));
        assert!(matches!(send(files, stranger, &id, 0, content(10)).await, Err(FilesError::NotFound)));
        assert!(matches!(files.delete(stranger, &id).await, Err(FilesError::NotFound)));
    }
    send(files, ALICE, &id, 0, content(10)).await.unwrap();
    assert!(files.file("app", &id).await.is_ok());
    for app in ["other", "..", ""] {
        assert!(matches!(files.file(app, &id).await, Err(FilesError::NotFound)));
        assert!(matches!(files.claim(app, &id).await, Err(FilesError::NotFound)));
    }
    let unknown = FileId::random();
    assert!(matches!(files.claim("app", &unknown).await, Err(FilesError::NotFound)));
}

/// Sizes and types hold at the edge and one beyond.
pub async fn limits_hold(world: &impl World) {
    let files = &world.gateway().await;
    let limits = Limits { max_bytes: 1000, types: vec!["image/*".to_owned()] };
    let png = |bytes: usize| [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), vec![0; bytes]].concat();
    assert!(files.create(ALICE, new(1000, "image/png"), &limits).await.is_ok());
    let refused = files.create(ALICE, new(1001, "image/png"), &limits).await;
    assert!(matches!(refused, Err(FilesError::TooLarge { size: 1001, most: 1000 })));
    for other in ["application/pdf", "", "text/plain"] {
        assert!(
            matches!(files.create(ALICE, new(10, other), &limits).await, Err(FilesError::TypeRefused(_))),
            "{other}"
        );
    }
    let named = |name: String| NewUpload { size: 1, name, media_type: "image/png".to_owned() };
    assert!(files.create(ALICE, named("n".repeat(255)), &limits).await.is_ok());
    for name in ["n".repeat(256), "a\nb".to_owned()] {
        assert!(matches!(files.create(ALICE, named(name), &limits).await, Err(FilesError::Invalid(_))));
    }
    // More bytes than were announced.
    let (id, _) = files.create(ALICE, new(20, "image/png"), &limits).await.unwrap();
    let refused = send(files, ALICE, &id, 0, png(5).into()).await;
    assert!(matches!(refused, Err(FilesError::TooLarge { size: 21, most: 20 })), "{refused:?}");
    // What is no picture, found at the last byte, or at once where there is enough of it.
    for size in [20, 20_000] {
        let (id, _) = files
            .create(ALICE, new(size, "image/png"), &Limits { max_bytes: 1 << 20, ..limits.clone() })
            .await
            .unwrap();
        let lie = send(files, ALICE, &id, 0, Bytes::from(vec![b'x'; size as usize])).await;
        assert!(matches!(lie, Err(FilesError::Lie { .. })), "{lie:?}");
        assert!(matches!(files.file("app", &id).await, Err(FilesError::NotFound)));
    }
    let (id, _) = files.create(ALICE, new(20, "image/png"), &limits).await.unwrap();
    assert_eq!(send(files, ALICE, &id, 0, png(4).into()).await.unwrap().offset, 20);
    let (id, _) = files.create(ALICE, new(0, "image/png"), &limits).await.unwrap();
    assert_eq!(files.file("app", &id).await.unwrap().size, 0, "an empty file is one");
}

/// What nobody sent goes, what a message has named stays, and a message cannot name what goes.
pub async fn only_what_is_named_stays(world: &impl World) {
    let (files, clock) = (&world.gateway().await, world.clock());
    let (sent, unsent) = (uploaded(files, content(10)).await, uploaded(files, content(10)).await);
    let (unfinished, _) = files.create(ALICE, new(100, ""), &limits()).await.unwrap();
    send(files, ALICE, &unfinished, 0, content(50)).await.unwrap();
    files.claim("app", &sent).await.unwrap();
    assert_eq!(files.sweep().await.unwrap(), 0, "it is too early");
    assert!(matches!(files.delete(ALICE, &sent).await, Err(FilesError::Used)));

    clock.advance_ms(DAY_MS);
    let late = send(files, ALICE, &unfinished, 50, content(50)).await;
    assert!(matches!(late, Err(FilesError::Expired)), "{late:?}");
    clock.advance_ms(3 * HOUR_MS);
    assert_eq!(files.sweep().await.unwrap(), 2);
    assert_eq!(files.sweep().await.unwrap(), 0);
    assert!(files.claim("app", &sent).await.is_ok(), "it may be named again");
    for gone in [&unsent, &unfinished] {
        assert!(matches!(files.file("app", gone).await, Err(FilesError::NotFound)));
        assert!(matches!(files.claim("app", gone).await, Err(FilesError::NotFound)));
        assert!(matches!(files.progress(ALICE, gone).await, Err(FilesError::NotFound)));
    }
    // The last traces go a day later, but for the file that was named.
    clock.advance_ms(26 * HOUR_MS);
    files.sweep().await.unwrap();
    let left = world.objects().await;
    assert_eq!(left.len(), 4, "record, part, file and fate of one: {left:?}");
}

/// A message that names a file at the moment in which it is swept: either it is there and stays, or it is refused.
pub async fn a_name_and_the_sweep_agree(world: &impl World) {
    for _ in 0..5 {
        named_and_swept([&world.gateway().await, &world.gateway().await], world.clock()).await;
    }
}

async fn named_and_swept(gateways: [&Files; 2], clock: &Clock) {
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(uploaded(gateways[0], content(10)).await);
    }
    clock.advance_ms(DAY_MS + 3 * HOUR_MS);
    let naming = async {
        let mut named = Vec::new();
        for id in &ids {
            named.push(gateways[0].claim("app", id).await.is_ok());
        }
        named
    };
    let (named, swept) = tokio::join!(naming, gateways[1].sweep());
    swept.unwrap();
    for (id, named) in ids.iter().zip(named) {
        let there = gateways[1].file("app", id).await.is_ok();
        assert_eq!(named, there, "a named file is there, and another one is not");
    }
}

/// Its owner gives an upload up.
pub async fn given_up_is_gone(world: &impl World) {
    let files = &world.gateway().await;
    let (unfinished, _) = files.create(ALICE, new(100, ""), &limits()).await.unwrap();
    send(files, ALICE, &unfinished, 0, content(50)).await.unwrap();
    for id in [unfinished, uploaded(files, content(10)).await] {
        files.delete(ALICE, &id).await.unwrap();
        assert!(matches!(files.progress(ALICE, &id).await, Err(FilesError::NotFound)));
        assert!(matches!(files.claim("app", &id).await, Err(FilesError::NotFound)));
    }
}

/// As it is when a gateway ends before it has written the file's record.
pub async fn a_gateway_that_ends_after_the_last_byte_leaves_a_file_to_be_made(world: &impl World) {
    let files = world.gateway().await;
    let id = uploaded(&files, content(50_000)).await;
    let file = files.file("app", &id).await.unwrap();
    world.remove(&format!("files/app/{id}/file")).await;
    assert!(matches!(files.file("app", &id).await, Err(FilesError::NotFound)));
    let made = world.gateway().await.complete(ALICE, &id).await.unwrap();
    assert_eq!((made.sha256, made.parts), (file.sha256, file.parts));
}

/// More parts than a page of a bucket's listing has.
pub async fn many_small_parts_are_one_file(world: &impl World) {
    const PARTS: usize = 1010;
    let files = world.gateway().await;
    let bytes = content(PARTS);
    let (id, _) = files.create(ALICE, new(PARTS as u64, ""), &limits()).await.unwrap();
    // As requests of one byte each leave them.
    let folder = format!("files/app/{id}");
    for (at, byte) in bytes.iter().enumerate().take(PARTS - 3) {
        world.put(&format!("{folder}/part-{at:016x}"), &[*byte]).await;
    }
    let rest = PARTS - 3;
    assert_eq!(files.progress(ALICE, &id).await.unwrap().offset, rest as u64);
    send(&files, ALICE, &id, rest as u64, bytes.slice(rest..)).await.unwrap();
    assert!(read(&files, &id, 0..PARTS as u64).await == bytes);
    files.delete(ALICE, &id).await.unwrap();
    let left = world.objects().await;
    assert_eq!(left.len(), 2, "its fate, and that it has to be swept: {left:?}");
}

/// Links are the cluster's, not a gateway's.
pub async fn a_link_is_good_at_another_gateway_until_its_time(world: &impl World) {
    let (one, two) = (world.gateway().await, world.gateway().await);
    let id = uploaded(&one, content(10)).await;
    let link = one.link("app", &id);
    assert!(two.linked("app", &id, &link).await.is_ok());
    assert!(matches!(two.linked("other", &id, &link).await, Err(FilesError::LinkForged)));
    assert!(matches!(two.linked("app", &FileId::random(), &link).await, Err(FilesError::LinkForged)));
    world.clock().advance_ms(3_600_000);
    assert!(matches!(two.linked("app", &id, &link).await, Err(FilesError::LinkExpired)));
}
