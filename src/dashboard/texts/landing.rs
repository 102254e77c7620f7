//! The landing page.

texts! {
    TITLE = "Voice OTP for every Vietnamese mobile", "OTP thoại cho mọi số di động Việt Nam";
    HERO = "One POST, and the phone reads the code", "Một lệnh POST, điện thoại đọc mã";
    LEAD = "No app, no SMS, no template approval. Your user's phone rings, a clear voice reads the digits twice, and a signed webhook reports the outcome.", "Không cần ứng dụng, không SMS, không chờ duyệt mẫu tin. Điện thoại người dùng đổ chuông, giọng nói rõ ràng đọc mã hai lần, và webhook có chữ ký báo kết quả.";
    START = "Start with {count} free OTPs", "Bắt đầu với {count} OTP miễn phí";
    START_PLAIN = "Create an account", "Tạo tài khoản";
    READ_DOCS = "Read the docs", "Xem tài liệu";
    PRICE = "{price} per accepted OTP. Prepaid, no minimum, no monthly fee.", "{price} cho mỗi OTP được nhà mạng tiếp nhận. Trả trước, không có mức tối thiểu, không phí hằng tháng.";
    REACH_TITLE = "Every carrier", "Mọi nhà mạng";
    REACH = "Viettel, VinaPhone, MobiFone, Vietnamobile, Gmobile and the virtual carriers, including ported numbers.", "Viettel, VinaPhone, MobiFone, Vietnamobile, Gmobile và các mạng di động ảo, kể cả số chuyển mạng.";
    FAIR_TITLE = "Pay only for accepted calls", "Chỉ trả tiền cho cuộc gọi được tiếp nhận";
    FAIR = "If the carrier or our gateway cannot place a call, its cost is refunded to your wallet automatically.", "Nếu nhà mạng hoặc cổng của chúng tôi không thực hiện được cuộc gọi, chi phí sẽ tự động hoàn vào ví của bạn.";
    SAFE_TITLE = "Codes stay secret", "Mã được giữ bí mật";
    SAFE = "A code exists only in memory during the call and is wiped afterwards. It is never logged or stored.", "Mã chỉ tồn tại trong bộ nhớ khi gọi và bị xóa ngay sau đó. Mã không bao giờ được ghi vào nhật ký hay cơ sở dữ liệu.";
    HOW = "How it works", "Cách hoạt động";
    HOW_1 = "Your server sends the phone number and the code", "Máy chủ của bạn gửi số điện thoại và mã";
    HOW_2 = "The phone rings within seconds", "Điện thoại đổ chuông trong vài giây";
    HOW_3 = "A voice reads the digits twice", "Hệ thống đọc từng chữ số, hai lần";
    HOW_4 = "A signed webhook reports the outcome", "Webhook có chữ ký báo kết quả";
    RESPONSE = "Response", "Phản hồi";
}
