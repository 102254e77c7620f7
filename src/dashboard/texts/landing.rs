//! The landing page.

texts! {
    TITLE = "Voice OTP for every Vietnamese mobile", "OTP thoại cho mọi số di động Việt Nam";
    HERO = "One POST, and the phone reads the code", "Một lệnh POST, điện thoại đọc mã";
    LEAD = "No app, no SMS, no template approval. Your user's phone rings, a clear voice reads the digits twice, and a signed webhook tells you how it ended.", "Không cần ứng dụng, không SMS, không chờ duyệt mẫu tin. Điện thoại người dùng đổ chuông, giọng đọc rõ ràng đọc mã hai lần, và webhook có chữ ký báo cho bạn kết quả.";
    START = "Start with {count} free OTPs", "Bắt đầu với {count} OTP miễn phí";
    START_PLAIN = "Create an account", "Tạo tài khoản";
    READ_DOCS = "Read the docs", "Đọc tài liệu";
    PRICE = "${price} per accepted OTP. Prepaid, no minimum, no monthly fee.", "${price} cho mỗi OTP được nhà mạng tiếp nhận. Trả trước, không mức tối thiểu, không phí tháng.";
    REACH_TITLE = "Every carrier", "Mọi nhà mạng";
    REACH = "Viettel, VinaPhone, MobiFone, Vietnamobile, Gmobile and the virtual ones; ported numbers are looked up.", "Viettel, VinaPhone, MobiFone, Vietnamobile, Gmobile và các mạng ảo; số chuyển mạng được tra cứu.";
    FAIR_TITLE = "You pay for what rings", "Chỉ trả khi có cuộc gọi";
    FAIR = "What the carrier or we could not do goes back to your wallet by itself, before you ask.", "Những gì nhà mạng hoặc chúng tôi không làm được sẽ tự động hoàn vào ví trước khi bạn yêu cầu.";
    SAFE_TITLE = "Codes stay secret", "Mã được giữ kín";
    SAFE = "A code lives in memory while the call lasts and is wiped after it. It is in no log and no database.", "Mã chỉ nằm trong bộ nhớ trong lúc gọi rồi bị xóa. Mã không có trong nhật ký hay cơ sở dữ liệu.";
    HOW = "How it goes", "Cách hoạt động";
    HOW_1 = "Your server sends phone and code", "Máy chủ của bạn gửi số điện thoại và mã";
    HOW_2 = "The phone rings within seconds", "Điện thoại đổ chuông trong vài giây";
    HOW_3 = "A voice reads the digits, twice", "Giọng đọc đọc từng chữ số, hai lần";
    HOW_4 = "A signed webhook brings the outcome", "Webhook có chữ ký gửi kết quả";
    ANSWER = "Answer", "Phản hồi";
}
