//! The overview: what the wallet holds, and how the calls go.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_domain::ledger::{Bucket, Buckets};
use nexo_domain::otp::Language;

use super::Site;
use super::markup::{head, usd};
use super::page::Page;
use super::place::Place;
use super::refused::Refused;
use super::texts::{Say, Text, overview as texts};
use super::who::{Member, Reader};

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("").get(show));
}

async fn show(member: Member, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let wallet = site.store.wallet(member.id()).await?.unwrap_or_default();
    let body = html! {
        (head(l.say(texts::TITLE), None, html! {}))
        (buckets(l, &wallet, &site))
    };
    Ok(Page::at(Place::Overview, l.say(texts::TITLE), body).answer(&member))
}

/// What a bucket is called.
pub fn bucket_name(bucket: Bucket) -> Text {
    match bucket {
        Bucket::Free => texts::FREE,
        Bucket::Bonus => texts::BONUS,
        Bucket::Balance => texts::BALANCE,
    }
}

/// The wallet at a glance, in the order in which it is spent.
pub fn buckets(l: Language, wallet: &Buckets, site: &Site) -> Markup {
    let otps = wallet.total().get() / site.price.get().max(1);
    html! {
        dl.figures {
            div.figure.strong {
                dt { (l.say(texts::TOTAL)) }
                dd { (usd(wallet.total())) span.more { (l.tell(texts::ENOUGH_FOR, &[("count", &otps)])) } }
            }
            @for bucket in Bucket::ALL {
                div.figure {
                    dt { (l.say(bucket_name(bucket))) }
                    dd { (usd(wallet.of(bucket))) }
                }
            }
        }
    }
}
