//! `tidings message status`.

use clap::Args;
use serde_json::json;
use tidings_proto::control::v1::{GetGroupMessageStatusRequest, GetMessageStatusRequest, GroupReceiptTimes};

use super::{Recipient, Sender, client};
use crate::cli::control::ControlOptions;
use crate::cli::exit::Outcome;
use crate::cli::output;

/// `tidings message status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The message, as `send` printed it
    #[arg(default_value = "", required_unless_present = "request_id")]
    id: String,
    /// Of one to a group, in the place of the id: the request that it was sent with
    #[arg(long, value_name = "ID", default_value = "", conflicts_with_all = ["id", "to"])]
    request_id: String,
    #[command(flatten)]
    recipient: Recipient,
    #[command(flatten)]
    sender: Sender,
    #[command(flatten)]
    control: ControlOptions,
}

impl Status {
    pub async fn run(self) -> Outcome {
        match self.recipient.group.clone() {
            Some(group) => self.of_group(group).await,
            None => self.of_user().await,
        }
    }

    async fn of_user(self) -> Outcome {
        let request = GetMessageStatusRequest {
            app: self.control.app.clone(),
            to: self.recipient.to.unwrap_or_default(),
            id: self.id,
            from: self.sender.user,
        };
        let status = client(&self.control).await?.get_message_status(request).await?.into_inner();
        let state = status.state().as_str_name().to_ascii_lowercase();
        if !self.control.json {
            return Ok(output::line(&state)?);
        }
        let [delivered_at, read_at] = [&status.delivered_at, &status.read_at].map(|at| output::json_time(at.as_ref()));
        let status = json!({ "id": status.id, "state": state, "delivered_at": delivered_at, "read_at": read_at });
        Ok(output::json(&status)?)
    }

    async fn of_group(self, group: String) -> Outcome {
        let (app, from) = (self.control.app.clone(), self.sender.user);
        let request = GetGroupMessageStatusRequest { app, group, id: self.id, request_id: self.request_id, from };
        let status = client(&self.control).await?.get_group_message_status(request).await?.into_inner();
        if !self.control.json {
            let (members, delivered, read) = (status.members, status.delivered, status.read);
            return Ok(output::line(&format!("{delivered} of {members} have it, {read} read it"))?);
        }
        let times = |of: fn(&GroupReceiptTimes) -> Option<&prost_types::Timestamp>| {
            let known = status.times.iter().map(|one| (one.user.clone(), output::json_time(of(one))));
            known.collect::<serde_json::Map<_, _>>()
        };
        Ok(output::json(&json!({
            "id": status.id,
            "group_seq": status.group_seq,
            "members": status.members,
            "delivered": status.delivered,
            "read": status.read,
            "delivered_to": status.delivered_to,
            "read_by": status.read_by,
            "delivered_at": times(|one| one.delivered_at.as_ref()),
            "read_at": times(|one| one.read_at.as_ref()),
        }))?)
    }
}
