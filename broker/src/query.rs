//! What a shard's state answers to its users' questions.

use tidings_consensus::StateView;
use tidings_proto::client::v1::{Device, Devices};
use tidings_proto::mailbox::v1::{DevicesRecord, MailboxRecord};

use crate::core::records::load;
use crate::core::{MailboxId, keys};
use crate::error::Error;

/// The named devices of a user. A user who never connected has none.
pub fn devices(view: &StateView, mailbox: &MailboxId) -> Result<Devices, Error> {
    let record: MailboxRecord = load(view, "mailbox", &keys::mailbox(mailbox))?.unwrap_or_default();
    let devices: DevicesRecord = load(view, "devices", &keys::devices(mailbox))?.unwrap_or_default();
    let devices = devices.devices.into_iter();
    let devices = devices.map(|device| Device { device: device.device, stream: device.stream, cursor: device.cursor });
    Ok(Devices { devices: devices.collect(), tail: record.last_seq })
}
