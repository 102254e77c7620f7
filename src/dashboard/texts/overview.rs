//! The overview.

texts! {
    TITLE = "Overview", "Tổng quan";
    TOTAL = "In your wallet", "Trong ví của bạn";
    FREE = "Free credit", "Tín dụng miễn phí";
    BONUS = "Bonus credit", "Tín dụng thưởng";
    BALANCE = "Balance", "Số dư";
    ENOUGH_FOR = "enough for {count} OTPs", "đủ cho {count} OTP";
    TOP_UP = "Top up", "Nạp tiền";
    NEXT = "Your first OTP", "OTP đầu tiên của bạn";
    NEXT_KEY = "Create an API key", "Tạo khóa API";
    NEXT_KEY_TELL = "It is shown once; your server sends it with each request.", "Khóa chỉ hiển thị một lần; máy chủ của bạn gửi khóa kèm mỗi yêu cầu.";
    NEXT_SEND = "Send an OTP", "Gửi một OTP";
    NEXT_SEND_TELL = "One POST makes the phone ring and a voice read the code. The docs have it to copy.", "Chỉ một lệnh POST, điện thoại đổ chuông và giọng đọc sẽ đọc mã. Tài liệu có sẵn ví dụ để sao chép.";
    NEXT_WEBHOOK = "Add a webhook", "Thêm webhook";
    NEXT_WEBHOOK_TELL = "We tell your server how each OTP ended.", "Chúng tôi báo cho máy chủ của bạn kết quả của từng OTP.";
    LAST_DAYS = "Last {count} days", "{count} ngày qua";
    SENT = "OTPs", "Số OTP";
    RATE = "Delivery rate", "Tỷ lệ thành công";
    MEDIAN = "Median time to answer", "Thời gian bắt máy trung vị";
    SECONDS = "{count} s", "{count} giây";
    NONE_YET = "–", "–";
    BY_DAY = "By day", "Theo ngày";
    BY_CARRIER = "By carrier", "Theo nhà mạng";
    DELIVERED = "delivered", "đã phát";
    FAILED = "failed", "thất bại";
    SHARE = "{percent} % of {count}", "{percent} % của {count}";
    CHART_LABEL = "OTPs a day over {days} days: {delivered} delivered, {failed} failed", "OTP mỗi ngày trong {days} ngày: {delivered} đã phát, {failed} thất bại";
    LAST_FAILURES = "Last failures", "Thất bại gần đây";
    NO_FAILURES = "No failures yet.", "Chưa có thất bại nào.";
    NOTHING_SENT = "Nothing was sent in this time. Test keys do not count.", "Chưa gửi gì trong thời gian này. Khóa thử nghiệm không được tính.";
    ALL_DELIVERIES = "All deliveries", "Tất cả OTP";
}
