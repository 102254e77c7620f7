//! The expected result of each message, in the order of the RFC.

use nexo_voice::sip::message::parse::ParseError;

/// The parsed message as written by [`super::outline`], or the reason why it is refused.
pub type Outcome = Result<&'static str, ParseError>;

/// Section, name and expected result of each message.
pub const MESSAGES: [(&str, &str, Outcome); 49] = [
    (
        "3.1.1.1",
        "wsinv",
        Ok("INVITE sip:vivekg@chair-dnrc.example.com;unknownparam | wsinv.ndaksdj@192.0.2.1 | \
            9 INVITE | from 98asjd8 to 1918181833n | 390skdjuw"),
    ),
    // A method of unusual characters is parsed as an unknown method.
    (
        "3.1.1.2",
        "intmeth",
        Ok(
            "OTHER sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.\
            (doesn't-it)@example.com | intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{ | \
            139122385 OTHER | from _token~1'+`*%!-. to - | z9hG4bK-.!%66*_+`'~",
        ),
    ),
    // Escaped characters are not decoded: URIs of the far end are never decoded here.
    (
        "3.1.1.3",
        "esc01",
        Ok(
            "INVITE sip:sips%3Auser%40example.com@example.net | esc01.239409asdfakjkn23onasd0-3234 | \
            234234 INVITE | from 938 to - | z9hG4bKkdjuw",
        ),
    ),
    (
        "3.1.1.4",
        "escnull",
        Ok("REGISTER sip:example.com | escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd | \
            14398234 REGISTER | from 839923423 to - | z9hG4bKkdjuw"),
    ),
    // Percent signs do not escape anything in a method, so this is not a REGISTER.
    (
        "3.1.1.5",
        "esc02",
        Ok("OTHER sip:registrar.example.com | esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf | \
            29344 OTHER | from f232jadfj23 to - | z9hG4bK209%fzsnel234"),
    ),
    (
        "3.1.1.6",
        "lwsdisp",
        Ok("OPTIONS sip:user@example.com | lwsdisp.1234abcd@funky.example.com | \
            60 OPTIONS | from 323 to - | z9hG4bKkdjuw"),
    ),
    // Thirty-three RFC 2543 hops precede the one with a branch.
    (
        "3.1.1.7",
        "longreq",
        Ok(
            "INVITE sip:user@example.com | longreq.onereallyreallyreallyreallyreallyreallyreallyreally\
            reallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallylongcallid | \
            3882340 INVITE | from 12982982982982982982982982982982982982982982982982982982982982982982\
            982982982982982982982982982982982982982982982982982982982982982982982982982982982982424 to - | -",
        ),
    ),
    // Bytes after the body in a datagram are not part of the message (RFC 3261 §18.3).
    (
        "3.1.1.8",
        "dblreq",
        Ok("REGISTER sip:example.com | dblreq.0ha0isndaksdj99sdfafnl3lk233412 | \
            8 REGISTER | from 43251j3j324 to - | z9hG4bKkdjuw23492"),
    ),
    (
        "3.1.1.9",
        "semiuri",
        Ok("OPTIONS sip:user;par=u%40example.net@example.com | semiuri.0ha0isndaksdj | \
            8 OPTIONS | from 33242 to - | z9hG4bKkdjuw"),
    ),
    (
        "3.1.1.10",
        "transports",
        Ok("OPTIONS sip:user@example.com | transports.kijh4akdnaqjkwendsasfdj | \
            60 OPTIONS | from 323 to - | z9hG4bKkdjuw"),
    ),
    (
        "3.1.1.11",
        "mpart01",
        Ok("MESSAGE sip:kumiko@example.org | 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA.. | \
            1 MESSAGE | from 2fb0dcc9 to - | z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-"),
    ),
    (
        "3.1.1.12",
        "unreason",
        Ok(
            "200 = 2**3 * 5**2 но сто девяносто девять - простое | unreason.1234ksdfak3j2erwedfsASdf | \
            35 INVITE | from 11141343 to 2229 | z9hG4bK1324923",
        ),
    ),
    (
        "3.1.1.13",
        "noreason",
        Ok("100 | noreason.asndj203insdf99223ndf | 35 INVITE | from 39ansfi3 to 902jndnke3 | \
            z9hG4bK2398ndaoe"),
    ),
    // Lenient although the RFC requires 400: the stray separators are in fields that are not read, and an
    // INVITE is refused anyway.
    (
        "3.1.2.1",
        "badinv01",
        Ok("INVITE sip:user@example.com | badinv01.0ha0isndaksdjasdf3234nas | \
            8 INVITE | from 134161461246 to - | -"),
    ),
    // Lenient: a datagram ends the body, and a response with such a length must not be lost.
    (
        "3.1.2.2",
        "clerr",
        Ok("INVITE sip:user@example.com | clerr.0ha0isndaksdjweiafasdk3 | \
            8 INVITE | from 93942939o2 to - | z9hG4bK-39234-23523"),
    ),
    (
        "3.1.2.3",
        "ncl",
        Ok("INVITE sip:user@example.com | ncl.0ha0isndaksdj2193423r542w35 | \
            0 INVITE | from 32394234 to - | z9hG4bKkdjuw"),
    ),
    ("3.1.2.4", "scalar02", Err(ParseError::Mandatory)),
    ("3.1.2.5", "scalarlg", Err(ParseError::Mandatory)),
    // Lenient: the address follows the last opening bracket.
    (
        "3.1.2.6",
        "quotbal",
        Ok("INVITE sip:user@example.com | quotbal.aksdj | \
            8 INVITE | from 93334 to - | z9hG4bKkdjuw39234"),
    ),
    // Lenient: the request-URI identifies us and is not checked.
    (
        "3.1.2.7",
        "ltgtruri",
        Ok("INVITE <sip:user@example.com> | ltgtruri.1@192.0.2.5 | 1 INVITE | from 39291 to - | -"),
    ),
    ("3.1.2.8", "lwsruri", Err(ParseError::StartLine)),
    ("3.1.2.9", "lwsstart", Err(ParseError::StartLine)),
    ("3.1.2.10", "trws", Err(ParseError::StartLine)),
    // Lenient: the request-URI is not checked, and no header field is derived from it.
    (
        "3.1.2.11",
        "escruri",
        Ok("INVITE sip:user@example.com?Route=%3Csip:example.com%3E | \
            escruri.23940-asdfhj-aje3br-234q098w-fawerh2q-h4n5 | \
            149209342 INVITE | from 341518 to - | z9hG4bKkdjuw"),
    ),
    // Lenient: the Date field is not read.
    (
        "3.1.2.12",
        "baddate",
        Ok("INVITE sip:user@example.com | baddate.239423mnsadf3j23lj42--sedfnm234 | \
            1392934 INVITE | from 2234923 to - | z9hG4bKkdjuw"),
    ),
    // Lenient: only a registrar reads this Contact.
    (
        "3.1.2.13",
        "regbadct",
        Ok("REGISTER sip:example.com | regbadct.k345asrl3fdbv@10.0.0.1 | \
            1 REGISTER | from 998332 to - | z9hG4bKkdjuw"),
    ),
    // Lenient, as the RFC permits: blanks between the brackets and the URI are unambiguous.
    (
        "3.1.2.14",
        "badaspec",
        Ok("OPTIONS sip:user@example.org | badaspec.sdf0234n2nds0a099u23h3hnnw009cdkne3 | \
            3923239 OPTIONS | from 433423 to - | z9hG4bKkdju43234"),
    ),
    // Lenient, as the RFC permits: From and To hold one address, so the comma belongs to the name.
    (
        "3.1.2.15",
        "baddn",
        Ok("OPTIONS sip:t.watson@example.org | baddn.31415@c.example.com | \
            3923239 OPTIONS | from 43 to - | z9hG4bKkdjuw"),
    ),
    ("3.1.2.16", "badvers", Err(ParseError::StartLine)),
    ("3.1.2.17", "mismatch01", Err(ParseError::Mandatory)),
    // An unknown method is reported as such; the RFC permits that besides 400.
    (
        "3.1.2.18",
        "mismatch02",
        Ok("OTHER sip:user@example.com | mismatch02.dj0234sxdfl3 | \
            8 INVITE | from 34525 to - | z9hG4bKkdjuw"),
    ),
    ("3.1.2.19", "bigcode", Err(ParseError::StartLine)),
    // A branch with only the magic cookie is valid: requests are not distinguished by it.
    (
        "3.2.1",
        "badbranch",
        Ok("OPTIONS sip:user@example.com | badbranch.sadonfo23i420jv0as0derf3j3n | \
            8 OPTIONS | from 33242 to - | z9hG4bK"),
    ),
    ("3.3.1", "insuf", Err(ParseError::Mandatory)),
    (
        "3.3.2",
        "unkscm",
        Ok(
            "OPTIONS nobodyKnowsThisScheme:totallyopaquecontent | unkscm.nasdfasser0q239nwsdfasdkl34 | \
            3923423 OPTIONS | from 384 to - | z9hG4bKkdjuw39234",
        ),
    ),
    (
        "3.3.3",
        "novelsc",
        Ok("OPTIONS soap.beep://192.0.2.103:3002 | novelsc.asdfasser0q239nwsdfasdkl34 | \
            3923423 OPTIONS | from 384 to - | z9hG4bKkdjuw39234"),
    ),
    (
        "3.3.4",
        "unksm2",
        Ok("REGISTER sip:example.com | unksm2.daksdj@hyphenated-host.example.com | \
            234902 REGISTER | from 3234233 to - | z9hG4bKkdjuw"),
    ),
    (
        "3.3.5",
        "bext01",
        Ok("OPTIONS sip:user@example.com | bext01.0ha0isndaksdj | \
            8 OPTIONS | from 242etr to - | z9hG4bKkdjuw"),
    ),
    (
        "3.3.6",
        "invut",
        Ok("INVITE sip:user@example.com | invut.0ha0isndaksdjadsfij34n23d | \
            235448 INVITE | from 8392034 to - | z9hG4bKkdjuw"),
    ),
    (
        "3.3.7",
        "regaut01",
        Ok("REGISTER sip:example.com | regaut01.0ha0isndaksdj | \
            9338 REGISTER | from 87321hj23128 to - | z9hG4bKkdjuw"),
    ),
    ("3.3.8", "multi01", Err(ParseError::Mandatory)),
    // Lenient, as with `clerr`.
    (
        "3.3.9",
        "mcl01",
        Ok("OPTIONS sip:user@example.com | mcl01.fhn2323orihawfdoa3o4r52o3irsdf | \
            15932 OPTIONS | from 3923942 to - | z9hG4bK293423"),
    ),
    // Two hops: a response to another element's request, whose branch matches none of ours.
    (
        "3.3.10",
        "bcast",
        Ok("200 OK | bcast.0384840201234ksdfak3j2erwedfsASdf | \
            35 INVITE | from 11141343 to 2229 | z9hG4bK1324923"),
    ),
    // No hop remains, and none is needed.
    (
        "3.3.11",
        "zeromf",
        Ok("OPTIONS sip:user@example.com | zeromf.jfasdlfnm2o2l43r5u0asdfas | \
            39234321 OPTIONS | from 3ghsd41 to - | z9hG4bKkdjuw2349i"),
    ),
    (
        "3.3.12",
        "cparam01",
        Ok("REGISTER sip:example.com | cparam01.70710@saturn.example.com | \
            2 REGISTER | from DkfVgjkrtMwaerKKpe to - | z9hG4bKkdjuw"),
    ),
    (
        "3.3.13",
        "cparam02",
        Ok("REGISTER sip:example.com | cparam02.70710@saturn.example.com | \
            3 REGISTER | from 838293 to - | z9hG4bKkdjuw"),
    ),
    (
        "3.3.14",
        "regescrt",
        Ok("REGISTER sip:example.com | regescrt.k345asrl3fdbv@192.0.2.1 | \
            14398234 REGISTER | from 8 to - | z9hG4bKkdjuw"),
    ),
    (
        "3.3.15",
        "sdp01",
        Ok("INVITE sip:user@example.com | sdp01.ndaksdj9342dasdd | \
            8 INVITE | from 234 to - | z9hG4bKkdjuw"),
    ),
    // RFC 2543: no tag, no branch, and the body ends with the datagram.
    (
        "3.4.1",
        "inv2543",
        Ok("INVITE sip:UserB@example.com | inv2543.1717@ift.client.example.com | \
            56 INVITE | from - to - | -"),
    ),
];
