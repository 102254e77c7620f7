//! The review of an account's access.

texts! {
    TITLE = "Review access", "Kiểm tra quyền truy cập";
    LEAD = "Tick what you do not know or no longer need. It stops working at once. The rest stays as it is.", "Hãy đánh dấu những gì bạn không nhận ra hoặc không còn cần. Chúng ngừng hoạt động ngay. Phần còn lại được giữ nguyên.";
    LEAD_AFTER_RESET = "Your password was reset. If another person had access to your account, some of these may not be yours. Tick what you do not know or no longer need: it stops working at once. The rest stays as it is.", "Mật khẩu của bạn vừa được đặt lại. Nếu trước đó có người khác vào được tài khoản, những mục dưới đây có thể là của họ. Hãy đánh dấu những gì bạn không nhận ra hoặc không còn cần: chúng ngừng hoạt động ngay. Phần còn lại được giữ nguyên.";
    KEYS = "API keys", "Khóa API";
    NO_KEYS = "No active API keys.", "Không có khóa API nào đang hoạt động.";
    INTEGRATIONS = "Integrations", "Tích hợp";
    NO_INTEGRATIONS = "No integrations.", "Không có tích hợp nào.";
    ENDPOINTS = "Webhook endpoints", "Webhook";
    NO_ENDPOINTS = "No webhook endpoints.", "Không có webhook nào.";
    PAYOUT = "Payout method", "Nơi nhận tiền";
    CHANGE_PAYOUT = "Change it on the referrals page", "Thay đổi tại trang giới thiệu";
    CREATED = "Created:", "Tạo lúc:";
    LAST_USED = "Last used:", "Dùng lần cuối:";
    FINISH = "Revoke what is ticked, keep the rest", "Thu hồi mục đã đánh dấu, giữ phần còn lại";
}
