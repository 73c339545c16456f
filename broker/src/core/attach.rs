//! `AttachDevice`: who a device is in its user's mailbox, in which stream it sends, and where its delivery goes on.

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{
    AttachDevice, DeviceRecord, DevicesRecord, EphemeralRecord, MailboxRecord, ShardRecord,
};
use tidings_proto::shard::stream_id;

use super::keys::{self, MailboxId};
use super::limits::{DEFAULT_DEVICES, DEVICES, EPHEMERAL_SLOTS, FIRST_EPHEMERAL_SLOT};
use super::records::{self, CoreError};
use super::{Applying, Reply, refused};

/// What an attached device is told, and what the shard's memory needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedDevice {
    pub mailbox_epoch: u64,
    /// Its messages carry this stream.
    pub stream: u64,
    pub slot: u32,
    /// Delivery goes on after this number.
    pub cursor: u64,
    /// The device's cursor in the mailbox; below `cursor` when the device is ahead by more than one command moves.
    pub recorded_cursor: u64,
    /// The mailbox's last number.
    pub tail: u64,
    /// Numbers, both included, of which some may have gone without the device having them (promise 4).
    pub unknown: Option<(u64, u64)>,
    /// Rises with every attachment in the shard: of two sessions of one device the one with the higher number is newer.
    pub attached: u64,
    /// The slots of devices that lost their places to this one.
    pub evicted_slots: Vec<u32>,
}

/// A named device that comes, with what counts of what it brings.
struct Arrival {
    device: String,
    /// 0: none that counts.
    stream: u64,
    cursor: Option<u64>,
    attached: u64,
    nonce: u64,
    /// How many devices the user may have.
    limit: usize,
    withholds: bool,
}

impl Applying<'_> {
    pub(super) fn attach_device(&mut self, attach: AttachDevice) -> Result<Reply, CoreError> {
        let Some(mailbox) = MailboxId::new(&attach.app, &attach.user) else {
            return refused(ErrorCode::InvalidArgument);
        };
        if !attach.device.is_empty() && !keys::is_id(&attach.device) {
            return refused(ErrorCode::InvalidArgument);
        }
        if attach.attached != 0 && self.was_attached_since(&mailbox, &attach)? {
            return refused(ErrorCode::SessionSuperseded);
        }
        let mut shard: ShardRecord = self.load("shard", &keys::shard())?.unwrap_or_default();
        shard.count += 1;
        self.store.put(keys::shard(), records::seal(&shard));
        let record = self.mailbox_or_new(&mailbox)?;
        let resumes = attach.mailbox_epoch == record.epoch;
        let stream = if resumes { attach.stream } else { 0 };
        if attach.device.is_empty() {
            return self.attach_ephemeral(&mailbox, record, stream, shard.count);
        }
        let cursor = attach.cursor.filter(|_| resumes);
        let limit = if attach.max_devices == 0 { DEFAULT_DEVICES } else { attach.max_devices.min(DEVICES) } as usize;
        let arrival = Arrival {
            device: attach.device,
            stream,
            cursor,
            attached: shard.count,
            nonce: attach.nonce,
            limit,
            withholds: attach.withholds_delivered,
        };
        self.attach_named(&mailbox, record, arrival)
    }

    /// Whether the device was attached after the session that comes back now: that one must not push out the newer.
    fn was_attached_since(&self, mailbox: &MailboxId, attach: &AttachDevice) -> Result<bool, CoreError> {
        let devices = self.devices(mailbox)?.devices;
        let is_newer = |known: &DeviceRecord| known.attached > attach.attached && known.nonce != attach.nonce;
        Ok(devices.iter().any(|known| known.device == attach.device && is_newer(known)))
    }

    fn attach_named(
        &mut self,
        mailbox: &MailboxId,
        mut record: MailboxRecord,
        arrival: Arrival,
    ) -> Result<Reply, CoreError> {
        let Arrival { device, stream, cursor, attached, nonce, limit, withholds } = arrival;
        let mut devices = self.devices(mailbox)?;
        let client_cursor = cursor.map(|cursor| cursor.min(record.last_seq));
        let new_stream = stream_id(attached, self.core.shard);
        let evicted_slots = make_room(&mut devices, &device, limit);
        let (slot, known_to) = match devices.devices.iter_mut().find(|known| known.device == device) {
            Some(known) => {
                if known.stream != stream {
                    known.stream = new_stream;
                }
                (known.attached, known.nonce) = (attached, nonce);
                (known.slot, client_cursor.unwrap_or(known.cursor))
            }
            None => {
                let known_to = client_cursor.unwrap_or(record.trimmed_to);
                let cursor = record.trimmed_to;
                let device = DeviceRecord { slot: 0, device, stream: new_stream, cursor, attached, nonce };
                let slot = add_device(&mut devices, device)?;
                (slot, known_to)
            }
        };
        record.devices = u32::try_from(devices.devices.len()).unwrap_or(DEVICES);
        self.draw(mailbox, &mut record)?;
        let unknown = unknown_range(&record, known_to);
        let cursor = known_to.max(record.trimmed_to);
        let recorded_cursor = self.advance(mailbox, &mut record, &mut devices, slot, cursor, withholds)?;
        // What the device brought along may have made room.
        self.draw_later(mailbox, &record);
        let stream = device_in(&mut devices, slot)?.stream;
        self.save_devices(mailbox, &devices);
        self.save_mailbox(mailbox, &record);
        Ok(Reply::Attached(AttachedDevice {
            mailbox_epoch: record.epoch,
            stream,
            slot,
            cursor,
            recorded_cursor,
            tail: record.last_seq,
            unknown,
            attached,
            evicted_slots,
        }))
    }

    fn attach_ephemeral(
        &mut self,
        mailbox: &MailboxId,
        record: MailboxRecord,
        stream: u64,
        attached: u64,
    ) -> Result<Reply, CoreError> {
        let key = keys::ephemeral(mailbox);
        let mut ring: EphemeralRecord = self.load("ephemeral", &key)?.unwrap_or_default();
        let kept = ring.streams.iter().position(|kept| stream != 0 && *kept == stream);
        let place = kept.unwrap_or(ring.next as usize % EPHEMERAL_SLOTS as usize);
        if kept.is_none() {
            let stream = stream_id(attached, self.core.shard);
            match ring.streams.get_mut(place) {
                Some(oldest) => *oldest = stream,
                None => ring.streams.push(stream),
            }
            ring.next = (ring.next + 1) % EPHEMERAL_SLOTS;
            self.store.put(key, records::seal(&ring));
        }
        self.save_mailbox(mailbox, &record);
        let stream = ring.streams.get(place).copied();
        Ok(Reply::Attached(AttachedDevice {
            mailbox_epoch: record.epoch,
            stream: stream.ok_or(CoreError::Contradiction("the ring of ephemeral slots has a hole"))?,
            slot: FIRST_EPHEMERAL_SLOT + u32::try_from(place).unwrap_or(0),
            cursor: record.last_seq,
            recorded_cursor: record.last_seq,
            tail: record.last_seq,
            unknown: None,
            attached,
            evicted_slots: Vec::new(),
        }))
    }
}

/// Leaves a place for a device that comes: those that attached longest ago lose theirs, as many as there are too many.
fn make_room(devices: &mut DevicesRecord, arriving: &str, limit: usize) -> Vec<u32> {
    let mut others: Vec<_> = devices.devices.iter().filter(|device| device.device != arriving).collect();
    others.sort_by_key(|device| device.attached);
    let too_many = (others.len() + 1).saturating_sub(limit);
    let evicted: Vec<_> = others[..too_many.min(others.len())].iter().map(|device| device.slot).collect();
    devices.devices.retain(|device| !evicted.contains(&device.slot));
    evicted
}

/// Adds a device in a slot that is free.
fn add_device(devices: &mut DevicesRecord, device: DeviceRecord) -> Result<u32, CoreError> {
    let is_free = |slot: &u32| devices.devices.iter().all(|device| device.slot != *slot);
    let slot = (0..DEVICES).find(is_free).ok_or(CoreError::Contradiction("more devices than slots"))?;
    devices.devices.push(DeviceRecord { slot, ..device });
    devices.devices.sort_by_key(|device| device.slot);
    Ok(slot)
}

/// The device in a slot that is known to be taken.
pub(super) fn device_in(devices: &mut DevicesRecord, slot: u32) -> Result<&mut DeviceRecord, CoreError> {
    let device = devices.devices.iter_mut().find(|device| device.slot == slot);
    device.ok_or(CoreError::Contradiction("a slot lost its device"))
}

/// Numbers after `known_to` of which some went without a trace: trimmed, or never stored.
fn unknown_range(record: &MailboxRecord, known_to: u64) -> Option<(u64, u64)> {
    let trimmed = (known_to < record.trimmed_to).then(|| (known_to + 1, record.trimmed_to));
    let lost = (known_to < record.lost_to).then(|| (record.lost_from.max(known_to + 1), record.lost_to));
    match (trimmed, lost) {
        (Some(trimmed), Some(lost)) => Some((trimmed.0.min(lost.0), trimmed.1.max(lost.1))),
        (one, other) => one.or(other),
    }
}
