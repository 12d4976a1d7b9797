//! An engine as a service, for tower and for hyper.
//!
//! Lives here: the two interfaces, and passing on what is not for the engine. Not here: what the engine answers (`requests`).

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Empty, Full};
use hyper::service::Service as HyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service as TowerService;

use crate::{config::EngineIoConfig, engine::Engine, handler::EngineIoHandler, query::Query};
pub use crate::{query::Refusal, response::ResponseBody};

/// Serves Engine.IO, and passes all other requests on to an inner service.
pub struct EngineIoService<H: EngineIoHandler, S = NotFoundService> {
    engine: Arc<Engine<H>>,
    inner: S,
}

/// Makes services, each of which is a clone of one.
pub struct MakeEngineIoService<H: EngineIoHandler, S> {
    service: EngineIoService<H, S>,
}

/// A service that finds nothing.
#[derive(Clone, Copy, Debug)]
pub struct NotFoundService;

/// The response to a request, once it is known. It is small, so that connections are.
pub enum ResponseFuture<F> {
    /// Of the engine.
    Engine(Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>),
    /// Of the inner service.
    Inner(Pin<Box<F>>),
}

impl<S: Clone, H: EngineIoHandler> EngineIoService<H, S> {
    /// A service.
    pub fn with_config_inner(inner: S, handler: Arc<H>, config: EngineIoConfig) -> Self {
        let engine = Engine::new(handler, config);
        Self { engine, inner }
    }

    /// A maker of clones of this service.
    pub fn into_make_service(self) -> MakeEngineIoService<H, S> {
        MakeEngineIoService { service: self }
    }
}

impl<H: EngineIoHandler, S> EngineIoService<H, S> {
    fn answer<B, F>(
        &self,
        request: Request<B>,
        inner: impl FnOnce(Request<B>) -> F,
    ) -> ResponseFuture<F>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
    {
        if self.engine.serves(request.uri().path()) {
            ResponseFuture::Engine(Box::pin(self.engine.clone().respond(request)))
        } else {
            ResponseFuture::Inner(Box::pin(inner(request)))
        }
    }

    /// Begins a session over a stream on which both sides have agreed to speak websocket.
    fn carry<Io>(&self, stream: Io, request: Request<()>) -> Result<(), Refusal>
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let query = Query::of(request.uri())?;
        if query.session.is_some() {
            return Err(Refusal::Request);
        }
        let (request, ()) = request.into_parts();
        let engine = self.engine.clone();
        crate::spawn::task(engine.begin_websocket(stream, query, request));
        Ok(())
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Engine(answer) => {
                let answer = answer.as_mut().poll(cx);
                answer.map(|response| Ok(response.map(ResponseBody::Engine)))
            }
            Self::Inner(answer) => {
                let answer = answer.as_mut().poll(cx);
                answer.map_ok(|response| response.map(|body| ResponseBody::Inner(Box::pin(body))))
            }
        }
    }
}

impl<H, S, ReqBody, ResBody> TowerService<Request<ReqBody>> for EngineIoService<H, S>
where
    H: EngineIoHandler,
    ReqBody: Body + Send + Unpin + 'static,
    ReqBody::Data: Send,
    S: TowerService<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let engine = self.engine.clone();
        let inner = &mut self.inner;
        EngineIoService { engine, inner: () }.answer(request, |request| inner.call(request))
    }
}

impl<H, S, ReqBody, ResBody> HyperService<Request<ReqBody>> for EngineIoService<H, S>
where
    H: EngineIoHandler,
    ReqBody: Body + Send + Unpin + 'static,
    ReqBody::Data: Send,
    S: HyperService<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn call(&self, request: Request<ReqBody>) -> Self::Future {
        self.answer(request, |request| self.inner.call(request))
    }
}

impl<H, S, Io> TowerService<(Io, Request<()>)> for EngineIoService<H, S>
where
    H: EngineIoHandler,
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Response = ();
    type Error = Refusal;
    type Future = Ready<Result<(), Refusal>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (stream, request): (Io, Request<()>)) -> Self::Future {
        ready(self.carry(stream, request))
    }
}

impl<H, S, Io> HyperService<(Io, Request<()>)> for EngineIoService<H, S>
where
    H: EngineIoHandler,
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Response = ();
    type Error = Refusal;
    type Future = Ready<Result<(), Refusal>>;

    fn call(&self, (stream, request): (Io, Request<()>)) -> Self::Future {
        ready(self.carry(stream, request))
    }
}

impl<H: EngineIoHandler, S: Clone, T> TowerService<T> for MakeEngineIoService<H, S> {
    type Response = EngineIoService<H, S>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: T) -> Self::Future {
        ready(Ok(self.service.clone()))
    }
}

impl<ReqBody> TowerService<Request<ReqBody>> for NotFoundService {
    type Response = Response<ResponseBody<Empty<Bytes>>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ReqBody>) -> Self::Future {
        ready(Ok(not_found()))
    }
}

impl<ReqBody> HyperService<Request<ReqBody>> for NotFoundService {
    type Response = Response<ResponseBody<Empty<Bytes>>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _: Request<ReqBody>) -> Self::Future {
        ready(Ok(not_found()))
    }
}

fn not_found() -> Response<ResponseBody<Empty<Bytes>>> {
    let mut response = Response::new(ResponseBody::Inner(Box::pin(Empty::new())));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

impl<H: EngineIoHandler, S: Clone> Clone for EngineIoService<H, S> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            inner: self.inner.clone(),
        }
    }
}
