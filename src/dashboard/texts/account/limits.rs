//! The limits of free actions.

texts! {
    TITLE = "Limits", "Giới hạn";
    LEAD = "What your account may do for free each day. Live OTPs have no limit here.", "Những gì tài khoản của bạn được làm miễn phí mỗi ngày. OTP thật không bị giới hạn tại đây.";
    RESETS = "All limits start again at {time}.", "Mọi giới hạn được tính lại từ {time}.";
    RAISE = "Ask the operator of this gateway if you need more.", "Nếu cần thêm, hãy liên hệ đơn vị vận hành cổng này.";
    ACTION = "Action", "Thao tác";
    USED = "Used today", "Đã dùng hôm nay";
    LIMIT = "Limit per day", "Giới hạn mỗi ngày";
    UNLIMITED = "unlimited", "không giới hạn";
    OWN = "custom limit", "giới hạn riêng";
    TEST_OTPS = "OTPs of test keys", "OTP của khóa thử nghiệm";
    TEST_EVENTS = "Test events to webhooks", "Sự kiện thử tới webhook";
    WEBHOOK_REPLAYS = "Webhook replays", "Gửi lại webhook";
    EXPORTS = "CSV exports", "Tải CSV";
    API_KEYS = "API keys created or rotated, and integrations created", "Khóa API được tạo hoặc đổi, và tích hợp được tạo";
    WEBHOOK_ENDPOINTS = "Webhook endpoints added", "Endpoint webhook được thêm";
    TOP_UPS = "Top-ups requested", "Yêu cầu nạp tiền";
    LOW_BALANCE_CHANGES = "Changes of the low-balance notice", "Thay đổi cảnh báo số dư thấp";
    EMAIL_CHANGES = "Changes of the e-mail address", "Thay đổi địa chỉ e-mail";
    STORED_REFUSALS = "Refusals stored for an Idempotency-Key", "Phản hồi từ chối được lưu cho Idempotency-Key";
    OTHER = "Other", "Khác";
    SET = "Set a custom limit", "Đặt giới hạn riêng";
    SET_LEAD = "Empty: the configured limit. 0: unlimited.", "Để trống: theo cấu hình. 0: không giới hạn.";
    DO_SET = "Set limit", "Đặt giới hạn";
    WRONG_LIMIT = "Enter a whole number from 0 to 1,000,000,000, or nothing.", "Hãy nhập số nguyên từ 0 đến 1.000.000.000 hoặc để trống.";
}
