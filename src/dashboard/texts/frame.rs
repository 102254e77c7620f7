//! The frame around every page, and words that many pages use.

texts! {
    SKIP = "Skip to content", "Chuyển đến nội dung";
    MENU = "Menu", "Menu";
    MAIN_NAVIGATION = "Main", "Điều hướng chính";
    OVERVIEW = "Overview", "Tổng quan";
    DELIVERIES = "Deliveries", "Cuộc gọi OTP";
    VERIFICATIONS = "Verifications", "Xác minh";
    API_KEYS = "API keys", "Khóa API";
    WEBHOOKS = "Webhooks", "Webhook";
    INTEGRATIONS = "Integrations", "Tích hợp";
    WALLET = "Wallet", "Ví";
    REFERRALS = "Referrals", "Giới thiệu";
    SETTINGS = "Settings", "Cài đặt";
    DOCS = "Docs", "Tài liệu";
    LIMITS = "Limits", "Giới hạn";
    SUSPENDED = "This account is suspended: it sends, creates and receives nothing. Contact the operator of this gateway.", "Tài khoản này đang bị tạm khóa: không thể gửi, tạo hay nhận gì. Vui lòng liên hệ đơn vị vận hành cổng này.";
    OPERATORS = "Operators", "Vận hành";
    ACCOUNTS = "Accounts", "Tài khoản";
    CARRIERS = "Carriers", "Nhà mạng";
    DEPOSITS = "Deposits", "Nạp tiền";
    REVIEWS = "Reviews", "Xem xét";
    PAYOUTS = "Payouts", "Chi trả";
    REVOCATIONS = "Revocations", "Thu hồi";
    SIGN_IN = "Sign in", "Đăng nhập";
    SIGN_UP = "Sign up", "Đăng ký";
    SIGN_OUT = "Sign out", "Đăng xuất";
    OTHER_LANGUAGE = "Tiếng Việt", "English";
    TAGLINE = "OTP gateway from Vietnam", "Cổng OTP từ Việt Nam";
    COPY = "Copy", "Sao chép";
    COPIED = "Copied", "Đã sao chép";
    NEVER = "never", "chưa bao giờ";
    OLDER = "Older", "Cũ hơn";
    NEWEST = "Newest", "Mới nhất";
    CANCEL = "Cancel", "Hủy";
    SAVE = "Save", "Lưu";
    TRANSFER_AMOUNT = "Transfer amount", "Số tiền chuyển";
    ZONE_NOTE = "Times are in {zone}. You can change this in the settings.", "Thời gian theo múi giờ {zone}. Bạn có thể đổi trong phần cài đặt.";
    SECONDS = "{count} s", "{count} giây";
    MILLISECONDS = "{count} ms", "{count} ms";
    JUST_NOW = "just now", "vừa xong";
    MINUTE_AGO = "{count} minute ago", "{count} phút trước";
    MINUTES_AGO = "{count} minutes ago", "{count} phút trước";
    HOUR_AGO = "{count} hour ago", "{count} giờ trước";
    HOURS_AGO = "{count} hours ago", "{count} giờ trước";
}
