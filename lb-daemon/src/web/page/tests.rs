//! The page as it is without a browser: what it says, that nothing of it is markup of others, and that its colours can be read.

use std::collections::HashMap;

use super::*;
use crate::api::tests::{Api, everything};

async fn page(api: &Api) -> String {
    let snapshot = api.served.snapshot().await.unwrap();
    api.served.history.add(1_000, &snapshot);
    api.bench.fake.world().now_ns += 2_000_000_000;
    api.served.history.add(3_000, &api.served.snapshot().await.unwrap());
    let events = api.served.events(EVENTS).map(|events| events.events);
    render(&api.served.snapshot().await.unwrap(), &api.served.history.since(0), events.as_deref())
}

#[tokio::test]
async fn a_pair_shows_everything() {
    let page = page(&everything()).await;
    for text in [
        "<title>active, degraded · Understudy</title>",
        "this node · primary",
        "peer · alive",
        "udp eth1 · up",
        "VIP 198.51.100.1",
        ">web1</text>",
        "This node is active; the peer is alive, and 2 of 2 paths are up; 2 of 2 reals get new flows.",
        "id=\"plot-service-packets_per_second\"",
        "id=\"plot-checkpoint-bytes\"",
        "id=\"plot-load-web2\"",
        "the disk is full",
        "<ol class=\"journal\">",
    ] {
        assert!(page.contains(text), "{text} is not in {page}");
    }
}

#[tokio::test]
async fn a_solo_node_shows_what_it_has() {
    let page = page(&Api::start()).await;
    assert!(page.contains("<title>solo · Understudy</title>"), "{page}");
    assert!(page.contains("This node is solo and serves; 2 of 2 reals get new flows."), "{page}");
    assert!(!page.contains("plot-path"), "{page}");
}

/// Every id is there once, every label says something, and every link inside the page leads somewhere.
#[tokio::test]
async fn ids_and_links_fit() {
    let page = page(&everything()).await;
    let values = |attribute: &str| -> Vec<String> {
        let before = format!(" {attribute}=\"");
        let pieces = page.split(before.as_str()).skip(1);
        pieces.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let mut ids = values("id");
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id is there twice");
    for link in values("href").into_iter().filter_map(|link| link.strip_prefix('#').map(str::to_owned)) {
        assert!(ids.contains(&link), "#{link}");
    }
    assert!(values("aria-label").iter().all(|label| !label.is_empty()));
    assert!(!page.contains(" style=") && !page.contains(" onclick="), "the headers forbid both");
}

/// The contrast of two colours, by WCAG 2: 1 to 21.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour: &str| {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Text has a contrast of 4.5 or more, and what else has to be seen of 3 or more, in light and in dark.
#[test]
fn colours_can_be_read() {
    let blocks: Vec<HashMap<&str, &str>> = STYLE
        .split(":root {")
        .skip(1)
        .map(|block| {
            let declarations = block.split('}').next().unwrap().split(';');
            let pairs = declarations.filter_map(|one| one.trim().strip_prefix("--")?.split_once(": "));
            pairs.collect()
        })
        .collect();
    assert_eq!(blocks.len(), 2, "light and dark");
    for colours in blocks {
        for ground in ["page", "panel"] {
            for text in ["text", "soft", "ok", "warn", "bad", "off", "link"] {
                let found = contrast(colours[text], colours[ground]);
                assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
            }
            for line in ["s0", "s1", "s2", "s3", "s4", "s5"] {
                let found = contrast(colours[line], colours[ground]);
                assert!(found >= 4.5, "{line} on {ground}: {found:.2}");
            }
            assert!(contrast(colours["edge"], colours[ground]) >= 3.0, "edge on {ground}");
        }
    }
}
