//! Who a backend is: the API key that it shows, and which apps the key is for.

use sha2::{Digest, Sha256};
use tidings_node::bearer::bearer_of;
use tidings_proto::ErrorCode;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::door;
use crate::registry::{api_keys, apps};
use crate::replica::Replica;

/// What API keys begin with.
pub const API_KEY_PREFIX: &str = "tdk_";
/// What users' tokens begin with.
pub const TOKEN_PREFIX: &str = "tdt_";

/// The hash under which a secret is stored and looked up.
pub fn hash_of(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// Which apps a caller may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Operator,
    /// This one alone.
    App(String),
}

impl Scope {
    /// The scope of the key that a request carries.
    pub fn of(replica: &Replica, metadata: &MetadataMap) -> Result<Self, Status> {
        let missing = || ErrorCode::ApiKeyUnknown.status("the header `authorization: Bearer <api key>` is missing");
        let secret = bearer_of(metadata).ok_or_else(missing)?;
        let key = api_keys::authenticate(&replica.view(), &hash_of(secret))?;
        Ok(if key.app == api_keys::OPERATOR { Self::Operator } else { Self::App(key.app) })
    }

    /// The app that a request is about: the one it names, or the caller's own, or for operators the default.
    pub fn app(&self, named: &str) -> Result<String, Status> {
        match self {
            Self::Operator if named.is_empty() => Ok(apps::DEFAULT_APP.to_owned()),
            Self::Operator => {
                door::app_id("app", named)?;
                Ok(named.to_owned())
            }
            Self::App(own) if named.is_empty() || named == own => Ok(own.clone()),
            Self::App(own) => {
                let message = format!("this API key is for app {own:?} alone");
                Err(ErrorCode::PermissionDenied.status(message))
            }
        }
    }

    /// Lets operators through only.
    pub fn operator(&self) -> Result<(), Status> {
        match self {
            Self::Operator => Ok(()),
            Self::App(_) => Err(ErrorCode::PermissionDenied.status("this takes an operator's API key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apps_key_reaches_its_app_alone() {
        let shop = Scope::App("shop".to_owned());
        assert_eq!(shop.app("").unwrap(), "shop");
        assert_eq!(shop.app("shop").unwrap(), "shop");
        assert_eq!(shop.app("default").unwrap_err().code(), tonic::Code::PermissionDenied);
        assert!(shop.operator().is_err());
        assert_eq!(Scope::Operator.app("").unwrap(), "default");
        assert_eq!(Scope::Operator.app("shop").unwrap(), "shop");
        assert_eq!(Scope::Operator.app("no\0").unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
