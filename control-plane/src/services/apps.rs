//! `tidings.control.v1.Apps`.

use tidings_proto::control::v1::apps_server::Apps;
use tidings_proto::control::v1::{
    App, CreateAppRequest, DeleteAppRequest, DeleteAppResponse, GetAppRequest, ListAppsRequest, ListAppsResponse,
    UpdateAppRequest,
};
use tidings_proto::registry::v1::{AppRecord, CreateApp, DeleteApp, UpdateApp, command::Command};
use tonic::{Request, Response, Status};

use super::auth::Scope;
use super::page::{self, PageRequest};
use super::{answer, door, messages, unexpected};
use crate::registry::machine::Outcome;
use crate::registry::refusal::Refusal;
use crate::registry::{apps, keys};
use crate::replica::Replica;

/// Apps, for backends and operators.
#[derive(Clone)]
pub struct AppsService(pub Replica);

impl AppsService {
    async fn propose(&self, command: Command) -> Result<App, Status> {
        match self.0.propose(command).await? {
            Outcome::App(app) => Ok(messages::app(app)),
            other => Err(unexpected(&other)),
        }
    }
}

#[tonic::async_trait]
impl Apps for AppsService {
    async fn create_app(&self, request: Request<CreateAppRequest>) -> Result<Response<App>, Status> {
        answer("CreateApp", async {
            Scope::of(&self.0, request.metadata())?.operator()?;
            let CreateAppRequest { id, display_name } = request.into_inner();
            door::app_id("id", &id)?;
            door::display_name("display_name", &display_name)?;
            self.propose(Command::CreateApp(CreateApp { id, display_name })).await
        })
        .await
    }

    async fn get_app(&self, request: Request<GetAppRequest>) -> Result<Response<App>, Status> {
        answer("GetApp", async {
            let id = Scope::of(&self.0, request.metadata())?.app(&request.get_ref().id)?;
            Ok(messages::app(apps::get(&self.0.current().await?, &id)?))
        })
        .await
    }

    async fn list_apps(&self, request: Request<ListAppsRequest>) -> Result<Response<ListAppsResponse>, Status> {
        answer("ListApps", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let ListAppsRequest { page_size, page_token, filter } = request.into_inner();
            door::filter(&filter)?;
            let page = PageRequest { size: page_size, token: &page_token };
            let prefix = keys::single(keys::APP);
            let wanted = |app: &AppRecord| filter.is_empty() || page::matches(&filter, &app.id);
            let visible = |app: &AppRecord| !app.deleting && wanted(app) && scope.app(&app.id).is_ok();
            let narrowed = match &scope {
                Scope::Operator => [prefix.as_slice(), page::head(&filter).as_bytes()].concat(),
                Scope::App(own) => keys::texts(keys::APP, &[own]),
            };
            let (found, next_page_token) = page.list(&self.0.current().await?, &prefix, &narrowed, visible)?;
            Ok(ListAppsResponse { apps: found.into_iter().map(messages::app).collect(), next_page_token })
        })
        .await
    }

    async fn update_app(&self, request: Request<UpdateAppRequest>) -> Result<Response<App>, Status> {
        answer("UpdateApp", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let UpdateAppRequest { app, update_mask } = request.into_inner();
            let app = app.ok_or_else(|| Refusal::invalid("app", "is missing"))?;
            let id = scope.app(&app.id)?;
            let mask = door::update_mask(update_mask, &["display_name", "active"])?;
            let mut update = UpdateApp { id, ..UpdateApp::default() };
            if mask.contains("display_name") {
                door::display_name("app.display_name", &app.display_name)?;
                update.display_name = Some(app.display_name);
            }
            if mask.contains("active") {
                scope.operator()?;
                update.active = Some(app.active);
            }
            self.propose(Command::UpdateApp(update)).await
        })
        .await
    }

    async fn delete_app(&self, request: Request<DeleteAppRequest>) -> Result<Response<DeleteAppResponse>, Status> {
        answer("DeleteApp", async {
            Scope::of(&self.0, request.metadata())?.operator()?;
            let id = request.into_inner().id;
            // Deleting the default app by leaving the name out would be a terrible default.
            door::app_id("id", &id)?;
            match self.0.propose(Command::DeleteApp(DeleteApp { id })).await? {
                Outcome::Deleted(_) => Ok(DeleteAppResponse {}),
                other => Err(unexpected(&other)),
            }
        })
        .await
    }
}
