//! The pages of webhooks.

use crate::dashboard::texts::Text;

texts! {
    TITLE = "Webhooks", "Webhook";
    LEAD = "When an OTP or a verification ends, we POST a signed event to each active endpoint that chose it, once.", "Khi một OTP hoặc một lượt xác minh kết thúc, chúng tôi gửi (POST) một sự kiện có chữ ký tới mỗi endpoint đang hoạt động có chọn sự kiện đó, đúng một lần.";
    COUNT = "{count} of {most} in use", "Đang dùng {count}/{most}";
    URL = "URL", "URL";
    URL_HINT = "An https URL on a public address, such as https://your-app.example/webhooks/nexo", "URL https trên địa chỉ công khai, ví dụ https://your-app.example/webhooks/nexo";
    EVENTS = "Events", "Sự kiện";
    EVENTS_LEAD = "What this endpoint receives from now on. Events that are already queued are still sent.", "Những sự kiện endpoint này nhận kể từ bây giờ. Các sự kiện đã vào hàng đợi vẫn được gửi.";
    SAVE_EVENTS = "Save events", "Lưu sự kiện";
    EVENTS_SAVED = "The events were saved.", "Đã lưu các sự kiện.";
    EVENTS_NONE = "Choose at least one event. To receive none, pause the endpoint.", "Hãy chọn ít nhất một sự kiện. Nếu không muốn nhận sự kiện nào, hãy tạm dừng endpoint.";
    EVENT_REJECTED = "There is no event {event}. Choose from: {allowed}.", "Không có sự kiện {event}. Hãy chọn trong: {allowed}.";
    MEANING_OTP = "every OTP that ends", "mọi OTP kết thúc";
    MEANING_OTP_DELIVERED = "the code was read to its last digit", "mã đã được đọc đến chữ số cuối";
    MEANING_OTP_FAILED = "busy, no answer, hung up early and other failures", "máy bận, không nghe máy, cúp máy sớm và các lỗi khác";
    MEANING_VERIFICATION = "every verification that ends, except canceled ones", "mọi lượt xác minh kết thúc, trừ lượt bị hủy";
    MEANING_VERIFICATION_APPROVED = "the right code was entered", "đã nhập đúng mã";
    MEANING_VERIFICATION_FAILED = "five wrong codes were entered", "đã nhập sai mã năm lần";
    MEANING_VERIFICATION_EXPIRED = "no right code in time", "quá thời hạn mà chưa nhập đúng mã";
    STATE = "Status", "Trạng thái";
    ACTIVE = "active", "hoạt động";
    PAUSED = "paused", "tạm dừng";
    ADD = "New endpoint", "Endpoint mới";
    DO_ADD = "Add endpoint", "Thêm endpoint";
    NONE = "No endpoints yet. Without one, poll GET /deliveries/{id} for the outcome.", "Chưa có endpoint nào. Khi chưa có, bạn có thể tra kết quả bằng GET /deliveries/{id}.";
    TOO_MANY = "An account can have at most {most} active endpoints. Pause or remove one first.", "Mỗi tài khoản có tối đa {most} endpoint đang hoạt động. Hãy tạm dừng hoặc xóa bớt một endpoint trước.";
    TOO_MANY_STORED = "An account can have at most {most} endpoints, including paused ones. Remove one first.", "Mỗi tài khoản có tối đa {most} endpoint, kể cả endpoint tạm dừng. Hãy xóa bớt một endpoint trước.";
    URL_REJECTED = "This URL cannot be used: {reason}.", "Không thể dùng URL này: {reason}.";
    REASON_MALFORMED = "it is not a complete URL", "URL chưa đầy đủ";
    REASON_NOT_HTTPS = "it must begin with https://", "URL phải bắt đầu bằng https://";
    REASON_CREDENTIALS = "it contains a user name or password", "URL chứa tên đăng nhập hoặc mật khẩu";
    REASON_NOT_PUBLIC = "its host is not on a public address", "máy chủ không nằm trên địa chỉ công khai";
    REASON_UNRESOLVED = "its host name does not resolve", "không phân giải được tên máy chủ";
    SHOWN_ONCE = "The secret that signs the events. It is shown only once: copy it now.", "Khóa bí mật dùng để ký sự kiện. Khóa chỉ hiển thị một lần: hãy sao chép ngay.";
    OPEN = "Open", "Mở";
    PAUSE = "Pause", "Tạm dừng";
    RESUME = "Resume", "Tiếp tục";
    REMOVE = "Remove", "Xóa";
    REMOVE_TITLE = "Remove this endpoint?", "Xóa endpoint này?";
    REMOVE_TEXT = "It receives no more events, and its pending events are dropped. Past attempts remain on the deliveries' pages.", "Endpoint này sẽ không nhận thêm sự kiện và các sự kiện đang chờ sẽ bị hủy. Lịch sử gửi vẫn còn trên trang của từng OTP.";
    ROTATE = "Rotate secret", "Đổi khóa bí mật";
    ROTATE_TITLE = "Rotate the secret of this endpoint?", "Đổi khóa bí mật của endpoint này?";
    ROTATE_TEXT = "Both secrets sign for 24 hours: webhook-signature lists both signatures, X-NEXO-Signature uses the new secret and X-NEXO-Signature-Previous the old one.", "Trong 24 giờ, cả hai khóa cùng ký: webhook-signature chứa cả hai chữ ký, X-NEXO-Signature dùng khóa mới và X-NEXO-Signature-Previous dùng khóa cũ.";
    OLD_UNTIL = "The old secret also signs until {time}.", "Khóa cũ vẫn cùng ký đến {time}.";
    TEST = "Send a test event", "Gửi sự kiện thử";
    TEST_SENT = "A test event was queued. Reload the page to see the response.", "Sự kiện thử đã được đưa vào hàng đợi. Hãy tải lại trang để xem phản hồi.";
    TEST_PAUSED = "A paused endpoint receives no test events. Resume it first.", "Endpoint đang tạm dừng không nhận sự kiện thử. Hãy tiếp tục trước.";
    REPLAYED = "{count} events were queued again.", "Đã đưa {count} sự kiện vào hàng đợi để gửi lại.";
    REPLAY = "Replay", "Gửi lại";
    REPLAY_ALL = "Replay failed events", "Gửi lại các sự kiện thất bại";
    REPLAY_SINCE = "Since ({offset})", "Từ lúc ({offset})";
    REPLAY_TEXT = "Every event since this time whose last attempt failed is sent again, at most {most} at once.", "Mỗi sự kiện từ thời điểm này có lần gửi cuối thất bại sẽ được gửi lại, tối đa {most} sự kiện mỗi lần.";
    SINCE_WRONG = "Enter a time such as 2026-05-25T10:00.", "Hãy nhập thời gian dạng 2026-05-25T10:00.";
    ATTEMPTS = "Attempts", "Các lần gửi";
    NO_ATTEMPTS = "No events were sent to this endpoint yet.", "Chưa có sự kiện nào được gửi tới endpoint này.";
    TIME = "Time", "Thời gian";
    EVENT = "Event", "Sự kiện";
    RESPONSE = "Response", "Phản hồi";
    DURATION = "Duration", "Thời lượng";
    DELIVERY = "Delivery", "Cuộc gọi OTP";
    VERIFICATION = "Verification", "Lượt xác minh";
    ATTEMPT_TITLE = "Webhook attempt", "Lần gửi webhook";
    REQUEST = "Request", "Yêu cầu";
    REQUEST_BODY = "Body", "Nội dung";
    SIGNATURE_NOTE = "Signatures are not stored. This one is computed from the body below and the endpoint's current secret.", "Chữ ký không được lưu. Chữ ký này được tính từ nội dung bên dưới và khóa bí mật hiện tại của endpoint.";
    BODY_NOTE = "Indented for reading; it was sent on one line. The button copies the exact bytes that are signed.", "Được thụt dòng để dễ đọc; khi gửi đi, nội dung nằm trên một dòng. Nút sao chép lấy đúng các byte được ký.";
    RESPONSE_BODY = "Response body (first KiB)", "Nội dung phản hồi (1 KiB đầu)";
    NO_RESPONSE = "No response.", "Không có phản hồi.";
    ERROR = "Error", "Lỗi";
    REPLAY_OF = "Replay of", "Gửi lại của";
    ENDPOINT = "Endpoint", "Endpoint";
    PENDING = "pending", "đang chờ";
    SENDING = "sending", "đang gửi";
    DELIVERED = "delivered", "thành công";
    FAILED = "failed", "thất bại";
    UNKNOWN = "unknown", "không rõ";
    UNKNOWN_TEXT = "The gateway stopped while sending this event. Your server may have received it, so it was not sent again automatically.", "Cổng đã dừng trong lúc gửi sự kiện này. Máy chủ của bạn có thể đã nhận được, nên hệ thống không tự gửi lại.";
    RECEIVER = "Your receiver", "Mã nguồn bên nhận";
    RECEIVER_LEAD = "Verify the signature over the exact bytes, respond with 2xx within 5 seconds, and process the event afterwards.", "Hãy kiểm tra chữ ký trên đúng các byte nhận được, trả về 2xx trong 5 giây, rồi mới xử lý sự kiện.";
    RECEIVER_CURL = "curl: an example of a signed event", "curl: ví dụ một sự kiện có chữ ký";
}

/// The meaning of a pattern of events.
pub fn meaning_of_pattern(pattern: &str) -> Text {
    match pattern {
        "otp.*" => MEANING_OTP,
        "otp.delivered" => MEANING_OTP_DELIVERED,
        "otp.failed" => MEANING_OTP_FAILED,
        "verification.*" => MEANING_VERIFICATION,
        "verification.approved" => MEANING_VERIFICATION_APPROVED,
        "verification.failed" => MEANING_VERIFICATION_FAILED,
        "verification.expired" => MEANING_VERIFICATION_EXPIRED,
        _ => EVENT,
    }
}

#[cfg(test)]
mod meanings {
    use nexo_domain::webhook::events::EventFilter;

    use super::*;

    #[test]
    fn every_pattern_has_a_meaning_of_its_own() {
        let mut meanings: Vec<&str> =
            EventFilter::all_patterns().map(|pattern| meaning_of_pattern(pattern).en).collect();
        let count = meanings.len();
        meanings.sort_unstable();
        meanings.dedup();
        assert_eq!(meanings.len(), count);
        assert!(!meanings.contains(&EVENT.en));
    }
}
