//! Requests that no client of ours makes: each gets an answer that says what is wrong with it, and the daemon goes on.

use super::*;

const SEED: u64 = 0xa91;
const ROUNDS: usize = 400;
/// Each path that something can be sent to, and a body that is right.
const POSTS: [(&str, &str); 8] = [
    ("/v1/reals/web1/admin", r#"{"state":"drained"}"#),
    ("/v1/reals/web1/weight", r#"{"weight":50}"#),
    ("/v1/pair/handover", r#"{"force":false}"#),
    ("/v1/pair/hold", r#"{"held":true}"#),
    ("/v1/pair/restart", r#"{"grace_ms":5000}"#),
    ("/v1/checkpoint/verify", r#"{"file":"/nowhere"}"#),
    ("/v1/checkpoint/import", r#"{"version":1}"#),
    ("/v1/flows?limit=1", ""),
];
/// What bytes are replaced by; none of it ends the head of a request.
const SIGNS: &[u8] = b"{}[]\":,0123456789-.eE\\u/%?&=;null~";

fn changed(text: &str, random: &mut fastrand::Rng) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..random.usize(..4) {
        let sign = random.choice(SIGNS.iter().copied()).unwrap_or(b'0');
        // A path keeps its first slash.
        match (bytes.len(), random.bool()) {
            (0 | 1, _) => bytes.push(sign),
            (length, true) => bytes[random.usize(1..length)] = sign,
            (length, false) => bytes.insert(random.usize(1..length), sign),
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn changed_requests_are_answered() {
    let api = Api::start();
    let mut random = fastrand::Rng::with_seed(SEED);
    for _ in 0..ROUNDS {
        let (path, body) = POSTS[random.usize(..POSTS.len())];
        let (path, body) = (changed(path, &mut random), changed(body, &mut random));
        let method = if random.u8(..4) == 0 { "GET" } else { "POST" };
        let (status, answer) = api.request(method, &path, &body).await;
        assert!((200..500).contains(&status), "{method} {path} {body}: {status} {answer}");
    }
    let _: Status = api.get(path::STATUS).await;
}
