//! The overview.

texts! {
    NO_CREDIT_MAILBOX = "Your account has no free credit: another account of the same mailbox received it. Top up to send live OTPs; test keys are free.", "Tài khoản của bạn không có tín dụng miễn phí vì một tài khoản khác của cùng hộp thư đã nhận. Hãy nạp tiền để gửi OTP thật; khóa thử nghiệm vẫn miễn phí.";
    NO_CREDIT_LIMIT = "Your account has no free credit: the free credits of today are used up. Top up to send live OTPs; test keys are free.", "Tài khoản của bạn không có tín dụng miễn phí vì số lượt tặng hôm nay đã hết. Hãy nạp tiền để gửi OTP thật; khóa thử nghiệm vẫn miễn phí.";
    TITLE = "Overview", "Tổng quan";
    TOTAL = "In your wallet", "Tổng trong ví";
    FREE = "Free credit", "Tín dụng miễn phí";
    BONUS = "Bonus credit", "Tín dụng thưởng";
    BALANCE = "Balance", "Số dư";
    ENOUGH_FOR = "enough for {count} OTPs", "đủ cho {count} OTP";
    TOP_UP = "Top up", "Nạp tiền";
    NEXT = "Your first OTP", "OTP đầu tiên của bạn";
    NEXT_KEY = "Create an API key", "Tạo khóa API";
    NEXT_KEY_TEXT = "It is shown only once. Your server sends it with each request.", "Khóa chỉ hiển thị một lần. Máy chủ của bạn gửi khóa kèm mỗi yêu cầu.";
    NEXT_SEND = "Send an OTP", "Gửi một OTP";
    NEXT_SEND_TEXT = "One POST request makes the phone ring and a voice read the code. The docs have an example to copy.", "Chỉ một yêu cầu POST, điện thoại đổ chuông và hệ thống đọc mã. Tài liệu có sẵn ví dụ để sao chép.";
    NEXT_WEBHOOK = "Add a webhook", "Thêm webhook";
    NEXT_WEBHOOK_TEXT = "Your server is notified of the outcome of each OTP.", "Máy chủ của bạn nhận được kết quả của từng OTP.";
    LAST_DAYS = "Last {count} days", "{count} ngày qua";
    SENT = "OTPs", "Số OTP";
    RATE = "Delivery rate", "Tỷ lệ thành công";
    MEDIAN = "Median time to answer", "Thời gian chờ bắt máy (trung vị)";
    NONE_YET = "–", "–";
    BY_DAY = "By day", "Theo ngày";
    BY_CARRIER = "By carrier", "Theo nhà mạng";
    DELIVERED = "delivered", "thành công";
    FAILED = "failed", "thất bại";
    SHARE = "{percent} of {count}", "{percent} trong {count}";
    CHART_LABEL = "OTPs per day over {days} days: {delivered} delivered, {failed} failed", "OTP mỗi ngày trong {days} ngày: {delivered} thành công, {failed} thất bại";
    LAST_FAILURES = "Recent failures", "OTP thất bại gần đây";
    NO_FAILURES = "No failures yet.", "Chưa có OTP nào thất bại.";
    NOTHING_SENT = "No OTPs in this period. Test keys are not counted.", "Chưa có OTP nào trong khoảng thời gian này. Không tính khóa thử nghiệm.";
    ALL_DELIVERIES = "All deliveries", "Tất cả cuộc gọi OTP";
}
