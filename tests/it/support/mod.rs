//! What the tests stand on: the real binary, real peers on free ports, raw requests.

mod documents;
mod gateway;
mod holding;
mod http;
mod keys;
mod real_server;
mod redis_server;
mod server;
mod stores;

pub(crate) use self::{
    documents::{api, keyless, keyless_at, merge, scheme},
    gateway::{ADMIN_SECRET, Gateway, Setup, binary, shared},
    holding::Holding,
    http::{Answer, Request, exchange, read_answer},
    keys::{claims, key, key_named, now, provider},
    real_server::RealServer,
    redis_server::RedisServer,
    server::{Recorded, Server, read_chunked, read_head, respond},
    stores::{Mood, ROLE_ID, SECRET_ID, Store, TOKEN},
};
