//! The page that sends a test OTP.

texts! {
    TITLE = "Send a test OTP", "Gửi OTP thử nghiệm";
    LEAD = "The request of a test key, as your server would send it. No phone rings and nothing is charged; your webhooks receive the outcome.", "Yêu cầu bằng khóa thử nghiệm, đúng như máy chủ của bạn sẽ gửi. Không điện thoại nào đổ chuông, không bị trừ tiền; webhook của bạn nhận kết quả.";
    NO_KEY = "A test OTP needs a test key.", "Cần có khóa thử nghiệm để gửi OTP thử nghiệm.";
    CREATE_KEY = "Create a test key", "Tạo khóa thử nghiệm";
    OUTCOME = "What the phone does", "Điện thoại phản ứng thế nào";
    ANSWERED = "answers, hears the code", "bắt máy, nghe mã";
    CODE = "Code", "Mã xác thực";
    CODE_HINT = "{least} to {most} digits", "{least} đến {most} chữ số";
    KEY = "Test key", "Khóa thử nghiệm";
    KEY_WRONG = "This key does not exist or was revoked. Choose another one.", "Khóa này không tồn tại hoặc đã bị thu hồi. Hãy chọn khóa khác.";
    DO_SEND = "Send", "Gửi";
    NOTE = "The number is random; its last two digits select the outcome. Test OTPs count towards the limits of your account.", "Số điện thoại là ngẫu nhiên; hai chữ số cuối quyết định kết quả. OTP thử nghiệm được tính vào giới hạn của tài khoản.";
    ANSWER = "The API answered {status}", "API trả về {status}";
}
