//! `tidings policy`: named profiles of what users may do.

use clap::{Args, Subcommand};
use prost_types::FieldMask;
use serde_json::{Map, Value, json};
use tidings_proto::EffectivePolicy;
use tidings_proto::control::v1::policies_client::PoliciesClient;
use tidings_proto::control::v1::{
    CreatePolicyRequest, DeletePolicyRequest, GetPolicyRequest, ListPoliciesRequest, UpdatePolicyRequest,
};
use tidings_proto::policy::v1::Policy;

use super::control::ControlOptions;
use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::output;

/// What to do with policies.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum PolicyCommand {
    /// Create a policy; creating it again with the same fields changes nothing
    Create(Set),
    /// List the policies that were made or changed
    List(List),
    /// Show a policy, with the defaults of what was not set
    Get(One),
    /// Change fields of a policy; those not named stay as they are
    Update(Set),
    /// Delete a policy that no user goes by; `default` goes back to how it was made
    Delete(One),
}

/// `tidings policy create` and `update`.
#[derive(Debug, Args)]
pub struct Set {
    /// 1 to 63 of a-z, 0-9, '-' and '_'; `default` is that of users who were given none
    id: String,
    /// Such as calls=false, max_message_bytes=1024, audience=nobody, message_rates=30/60,60/600 (messages/seconds);
    /// `policy get` shows all. Nothing behind the sign: back to the default
    #[arg(value_name = "FIELD=VALUE", value_parser = field)]
    fields: Vec<(String, Value)>,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings policy list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    control: ControlOptions,
}

/// A command about one policy.
#[derive(Debug, Args)]
pub struct One {
    /// The policy
    id: String,
    #[command(flatten)]
    control: ControlOptions,
}

impl PolicyCommand {
    pub async fn run(self) -> Outcome {
        match self {
            Self::Create(command) => command.create().await,
            Self::List(command) => command.run().await,
            Self::Get(command) => command.get().await,
            Self::Update(command) => command.update().await,
            Self::Delete(command) => command.delete().await,
        }
    }
}

impl Set {
    fn policy(&self) -> Outcome<Policy> {
        let policy = policy_of(self.fields.clone())
            .map_err(|error| Failure::new(Exit::Invalid, format!("not what a policy holds: {error}")))?;
        Ok(Policy { app: self.control.app.clone(), id: self.id.clone(), ..policy })
    }

    async fn create(self) -> Outcome {
        let policy = Some(self.policy()?);
        let mut policies = PoliciesClient::new(self.control.connect().await?);
        print(&policies.create_policy(CreatePolicyRequest { policy }).await?.into_inner(), self.control.json)
    }

    async fn update(self) -> Outcome {
        let policy = Some(self.policy()?);
        let paths: Vec<String> = self.fields.iter().map(|(name, _)| name.clone()).collect();
        if paths.is_empty() {
            return Err(Failure::new(Exit::Invalid, "nothing to change: give FIELD=VALUE"));
        }
        let mut policies = PoliciesClient::new(self.control.connect().await?);
        let request = UpdatePolicyRequest { policy, update_mask: Some(FieldMask { paths }) };
        print(&policies.update_policy(request).await?.into_inner(), self.control.json)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let mut policies = PoliciesClient::new(self.control.connect().await?);
        // An app has at most 100: one page.
        let request = ListPoliciesRequest { app: self.control.app.clone(), page_size: 1000, ..Default::default() };
        let found = policies.list_policies(request).await?.into_inner().policies;
        if self.control.json {
            for policy in &found {
                print(policy, true)?;
            }
            return Ok(());
        }
        let row = |policy: &Policy| vec![policy.id.clone(), set_fields(policy)];
        Ok(output::table(&["policy", "set"], &found.iter().map(row).collect::<Vec<_>>())?)
    }
}

impl One {
    async fn get(self) -> Outcome {
        let mut policies = PoliciesClient::new(self.control.connect().await?);
        let request = GetPolicyRequest { app: self.control.app.clone(), id: self.id };
        let policy = policies.get_policy(request).await?.into_inner();
        if self.control.json {
            return print(&policy, true);
        }
        let set = as_json(&policy);
        let effective = as_json(&EffectivePolicy::from(&policy).to_policy());
        let row = |(name, value): (&String, &Value)| {
            let origin = if set.contains_key(name) { "set" } else { "default" };
            vec![name.clone(), text_of(value), origin.to_owned()]
        };
        let rows: Vec<_> = effective.iter().map(row).collect();
        Ok(output::table(&["field", "value", "origin"], &rows)?)
    }

    async fn delete(self) -> Outcome {
        let mut policies = PoliciesClient::new(self.control.connect().await?);
        policies.delete_policy(DeletePolicyRequest { app: self.control.app.clone(), id: self.id.clone() }).await?;
        eprintln!("deleted the policy {}", self.id);
        Ok(())
    }
}

/// A policy in which these fields are set, those that are null excepted.
fn policy_of(fields: Vec<(String, Value)>) -> serde_json::Result<Policy> {
    let set = fields.into_iter().filter(|(_, value)| !value.is_null());
    serde_json::from_value(Value::Object(set.collect()))
}

/// A field as JSON: rates are `count/seconds` with commas between, words of an enum may be small, nothing is null.
fn field(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text} is not FIELD=VALUE"))?;
    let value = match value {
        "" => Value::Null,
        "true" => json!(true),
        "false" => json!(false),
        rates if name.ends_with("_rates") => rates.split(',').map(rate).collect::<Result<Value, _>>()?,
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => json!(number),
        word => json!(word.to_ascii_uppercase()),
    };
    Ok((name.to_owned(), value))
}

fn rate(text: &str) -> Result<Value, String> {
    let parsed = text.split_once('/').map(|(count, seconds)| (count.parse::<u32>(), seconds.parse::<u32>()));
    match parsed {
        Some((Ok(count), Ok(seconds))) => Ok(json!({ "count": count, "seconds": seconds })),
        _ => Err(format!("{text} is no rate, such as 30/60 for 30 in 60 seconds")),
    }
}

fn print(policy: &Policy, json: bool) -> Outcome {
    match json {
        true => Ok(output::json(&serde_json::to_value(policy).map_err(anyhow::Error::from)?)?),
        false => Ok(output::line(&policy.id)?),
    }
}

/// The fields that are set, by name.
fn as_json(policy: &Policy) -> Map<String, Value> {
    let mut fields = match serde_json::to_value(policy) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields.retain(|name, _| !matches!(name.as_str(), "app" | "id" | "revision"));
    fields
}

fn set_fields(policy: &Policy) -> String {
    let fields = as_json(policy);
    fields.iter().map(|(name, value)| format!("{name}={}", text_of(value))).collect::<Vec<_>>().join(" ")
}

/// As it is given on the command line.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_ascii_lowercase(),
        Value::Array(rates) => {
            let rate = |rate: &Value| format!("{}/{}", rate["count"], rate["seconds"]);
            rates.iter().map(rate).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_proto::policy::v1::{Audience, RateLimit};

    fn parsed(fields: &[&str]) -> Result<Policy, String> {
        let fields = fields.iter().map(|text| field(text)).collect::<Result<_, _>>()?;
        policy_of(fields).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_read_by_their_names_and_shown_as_they_are_given() {
        let given = ["audience=nobody", "calls=false", "history_seconds=0", "message_rates=30/60,60/600"];
        let policy = parsed(&given).unwrap();
        let rate = |count, seconds| RateLimit { count, seconds };
        assert_eq!((policy.audience(), policy.calls, policy.history_seconds), (Audience::Nobody, Some(false), Some(0)));
        assert_eq!(policy.message_rates, [rate(30, 60), rate(60, 600)]);
        assert_eq!(set_fields(&policy), given.join(" "));
        assert_eq!(parsed(&["calls=", "message_rates=", "audience="]).unwrap(), Policy::default());
    }

    #[test]
    fn nonsense_is_named() {
        for nonsense in ["calls", "calls=7", "unheard_of=1", "message_rates=30", "message_rates=a/b", "audience=me"] {
            assert!(parsed(&[nonsense]).is_err(), "{nonsense}");
        }
        assert!(parsed(&["max_devices=99999999999"]).is_err());
    }
}
