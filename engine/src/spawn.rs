//! Tasks of an engine.
//!
//! Lives here: the only place that spawns any. Not here: what they do.

/// Runs a task for as long as it takes. It ends with its connection, or with its engine.
#[expect(
    clippy::disallowed_methods,
    reason = "a connection that dies ends nothing but itself"
)]
pub(crate) fn task(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// Calls `then` soon, outside of all locks of the caller. Without a runtime, it is called at once.
pub(crate) fn soon(then: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => {
            runtime.spawn(async { then() });
        }
        Err(_) => then(),
    }
}
