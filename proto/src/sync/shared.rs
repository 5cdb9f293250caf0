//! What both reports and tables speak of: heads, lessons, categories.

use lasso_jsonrpc::block::Tag;
use lasso_routing::breaker::Category;
use lasso_routing::report::{Lesson, Limit, SeenHead, Shown};
use lasso_routing::time::Millis;

use super::names::{Reader, Writer};
use super::wire;

pub(super) fn encode_head<'a>(head: &'a SeenHead, names: &mut Writer<'a>) -> wire::SeenHead {
    wire::SeenHead {
        channel: names.place(&head.channel),
        number: head.shown.number,
        proved: head.shown.proved,
        first_ms: head.shown.first.0,
        last_ms: head.shown.last.0,
    }
}

pub(super) fn decode_head(names: &mut Reader, head: wire::SeenHead) -> Option<SeenHead> {
    Some(SeenHead {
        channel: names.name(head.channel)?,
        shown: Shown {
            number: head.number,
            proved: head.proved,
            first: Millis(head.first_ms),
            last: Millis(head.last_ms),
        },
    })
}

pub(super) fn encode_lesson<'a>(lesson: &'a Lesson, names: &mut Writer<'a>) -> wire::Lesson {
    use wire::lesson::Limit as Wire;
    let channel = names.place(&lesson.channel);
    let limit = match &lesson.limit {
        Limit::Range(blocks) => Wire::Range(*blocks),
        Limit::StateAge(blocks) => Wire::StateAge(*blocks),
        Limit::Age(blocks) => Wire::Age(*blocks),
        Limit::Class(class) => Wire::Class(names.class(*class)),
        Limit::Name(method) => Wire::Method(names.place(method)),
        Limit::Tag(tag) => Wire::Tag(names.place(tag.name())),
    };
    wire::Lesson { channel, left_ms: lesson.left.0, limit: Some(limit) }
}

pub(super) fn decode_lesson(names: &mut Reader, lesson: wire::Lesson) -> Option<Lesson> {
    use wire::lesson::Limit as Wire;
    let limit = match lesson.limit? {
        Wire::Range(blocks) => Limit::Range(blocks),
        Wire::StateAge(blocks) => Limit::StateAge(blocks),
        Wire::Age(blocks) => Limit::Age(blocks),
        Wire::Class(place) => Limit::Class(names.class(place)?),
        Wire::Method(place) => Limit::Name(names.name(place)?),
        Wire::Tag(place) => Limit::Tag(Tag::named(&names.name(place)?)?),
    };
    Some(Lesson { channel: names.name(lesson.channel)?, limit, left: Millis(lesson.left_ms) })
}

pub(super) fn encode_category(category: Option<Category>) -> i32 {
    let known = match category {
        None => wire::Category::Unspecified,
        Some(Category::Network) => wire::Category::Network,
        Some(Category::Timeout) => wire::Category::Timeout,
        Some(Category::Server) => wire::Category::Server,
        Some(Category::Auth) => wire::Category::Auth,
        Some(Category::Billing) => wire::Category::Billing,
    };
    known.into()
}

pub(super) fn decode_category(number: i32) -> Option<Category> {
    match wire::Category::try_from(number).ok()? {
        wire::Category::Unspecified => None,
        wire::Category::Network => Some(Category::Network),
        wire::Category::Timeout => Some(Category::Timeout),
        wire::Category::Server => Some(Category::Server),
        wire::Category::Auth => Some(Category::Auth),
        wire::Category::Billing => Some(Category::Billing),
    }
}
