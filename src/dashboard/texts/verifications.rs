//! The pages of verifications.

texts! {
    TITLE = "Verifications", "Xác minh";
    LEAD = "Codes that we made, read out and checked for you, newest first.", "Các mã do chúng tôi tạo, đọc và kiểm tra giúp bạn, mới nhất trước.";
    SEARCH_WRONG = "“{text}” is neither a Vietnamese mobile number nor a reference nor a verification ID.", "“{text}” không phải số di động Việt Nam, mã tham chiếu hay ID của lượt xác minh.";
    NONE = "No verifications yet. Start one with POST /api/v1/verifications: the code is ours, you only ask whether it was right.", "Chưa có lượt xác minh nào. Hãy tạo bằng POST /api/v1/verifications: chúng tôi giữ mã, bạn chỉ cần hỏi mã có đúng không.";
    NONE_FOUND = "No verifications match these filters.", "Không có lượt xác minh nào khớp bộ lọc.";
    STARTED = "Started", "Bắt đầu lúc";
    STATUS = "Status", "Trạng thái";
    PHONE = "Phone", "Số điện thoại";
    CALLS = "Calls", "Số cuộc gọi";
    ATTEMPTS_LEFT = "Attempts left", "Số lần thử còn lại";
    REFERENCE = "Reference", "Mã tham chiếu";
    PENDING = "pending", "đang chờ";
    APPROVED = "approved", "đã xác minh";
    FAILED = "failed", "thất bại";
    EXPIRED = "expired", "hết hạn";
    CANCELED = "canceled", "đã hủy";
    ONE_TITLE = "Verification", "Lượt xác minh";
    ID = "ID", "ID";
    EXPIRES = "Expires", "Hết hạn lúc";
    ENDED = "Ended", "Kết thúc lúc";
    OF_MOST = "{count} of {most}", "{count}/{most}";
    CODE_LENGTH = "Code", "Mã";
    DIGITS = "{count} digits, never stored", "{count} chữ số, không bao giờ được lưu";
    REPLACED_BY = "Replaced by", "Thay bằng";
    CALL_NUMBER = "Call {number}", "Cuộc gọi {number}";
    CALLS_TITLE = "Calls", "Các cuộc gọi";
    NO_CALLS = "The calls of this verification are no longer stored.", "Các cuộc gọi của lượt xác minh này không còn được lưu.";
    WEBHOOKS_LATER = "Webhooks are sent when the verification has ended, to endpoints that chose its event.", "Webhook được gửi khi lượt xác minh kết thúc, tới các endpoint có chọn sự kiện đó.";
    NO_WEBHOOKS = "No webhook was sent for this verification.", "Chưa gửi webhook nào cho lượt xác minh này.";
}
