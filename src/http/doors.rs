//! Routes, each with what it lets do: there is none that nobody has thought about.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodFilter, on};

use super::AppState;
use super::auth::guard;
use crate::domain::role::Deed;

/// A route, and what it lets do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The method.
    pub method: Method,
    /// The path, with names for what varies in braces.
    pub path: &'static str,
    /// What it lets do.
    pub deed: Deed,
}

/// Routes that are guarded.
pub struct Doors {
    /// `None`: they are only listed.
    app: Option<AppState>,
    router: Router<AppState>,
    list: Vec<Door>,
}

impl Doors {
    /// None yet.
    #[must_use]
    pub fn new(app: AppState) -> Self {
        Self { app: Some(app), ..Self::unbuilt() }
    }

    /// None yet, and none to be built: to list them.
    #[must_use]
    pub fn unbuilt() -> Self {
        Self { app: None, router: Router::new(), list: Vec::new() }
    }

    /// One more that gives something.
    #[must_use]
    pub fn get<T: 'static>(
        self,
        path: &'static str,
        deed: Deed,
        handler: impl Handler<T, AppState>,
    ) -> Self {
        self.door(MethodFilter::GET, Method::GET, path, deed, handler)
    }

    /// One more that does something.
    #[must_use]
    pub fn post<T: 'static>(
        self,
        path: &'static str,
        deed: Deed,
        handler: impl Handler<T, AppState>,
    ) -> Self {
        self.door(MethodFilter::POST, Method::POST, path, deed, handler)
    }

    fn door<T: 'static>(
        mut self,
        filter: MethodFilter,
        method: Method,
        path: &'static str,
        deed: Deed,
        handler: impl Handler<T, AppState>,
    ) -> Self {
        if let Some(app) = &self.app {
            let guard = middleware::from_fn_with_state((app.clone(), deed), guard);
            self.router = self.router.route(path, on(filter, handler).route_layer(guard));
        }
        self.list.push(Door { method, path, deed });
        self
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Door] {
        &self.list
    }

    /// The routes themselves.
    pub fn into_router(self) -> Router<AppState> {
        self.router
    }
}
