//! Asks the daemon again and again, and has it steer reals, while the screen answers to keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lb_core::api::{AdminState, RealChanged, SetAdmin, path};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::sample::Sample;
use crate::client::{Client, ClientError};
use crate::render;

/// Most news, and most orders, that wait: who waits longer than that need not be told more.
const MAX_WAITING: usize = 4;

/// What an operator wants of a real.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The real's name.
    pub real: String,
    /// The state that it shall have.
    pub state: AdminState,
}

/// What the daemon said.
pub enum News {
    /// How all is.
    Sample(Box<Sample>),
    /// What became of an order.
    Steered(String),
    /// Why there is no answer.
    Failed(String),
}

/// The task that talks with the daemon. It ends when this is dropped.
pub struct Watcher {
    news: mpsc::Receiver<News>,
    orders: mpsc::Sender<Order>,
}

impl Watcher {
    /// Asks every `interval`.
    pub fn start(socket: &Path, interval: Duration) -> Self {
        let (send_news, news) = mpsc::channel(MAX_WAITING);
        let (orders, take_orders) = mpsc::channel(MAX_WAITING);
        tokio::spawn(watch(socket.to_owned(), interval, send_news, take_orders));
        Self { news, orders }
    }

    /// The next news.
    pub async fn news(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            // The task goes on as long as somebody listens, so this is never.
            None => std::future::pending().await,
        }
    }

    /// Has something done. An order too many is left out: the screen goes on showing what is.
    pub fn steer(&self, order: Order) {
        let _ = self.orders.try_send(order);
    }
}

async fn watch(socket: PathBuf, interval: Duration, news: mpsc::Sender<News>, mut orders: mpsc::Receiver<Order>) {
    let client = Client::new(&socket);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let heard = tokio::select! {
            _ = ticks.tick() => look(&client).await,
            order = orders.recv() => match order {
                Some(order) => steer(&client, &order).await,
                None => return,
            },
        };
        if news.send(heard).await.is_err() {
            return;
        }
    }
}

async fn look(client: &Client<'_>) -> News {
    match Sample::take(client).await {
        Ok(sample) => News::Sample(Box::new(sample)),
        Err(error) => failed(&error),
    }
}

async fn steer(client: &Client<'_>, order: &Order) -> News {
    match client.post::<RealChanged>(&path::admin(&order.real), Some(&SetAdmin { state: order.state })).await {
        Ok(answer) => News::Steered(one_line(&render::admin(&answer.value))),
        Err(error) => failed(&error),
    }
}

fn failed(error: &ClientError) -> News {
    News::Failed(one_line(&error.to_string()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
