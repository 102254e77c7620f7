//! Error pages.

texts! {
    HOME = "Go to the dashboard", "Về trang tổng quan";
    SIGN_IN_TITLE = "Sign in first", "Vui lòng đăng nhập";
    SIGN_IN = "You need to sign in to see this page.", "Bạn cần đăng nhập để xem trang này.";
    FACTOR_TITLE = "Set up two-factor authentication first", "Hãy thiết lập xác thực hai lớp trước";
    FACTOR = "Operators of this gateway must use two-factor authentication.", "Người vận hành cổng này bắt buộc dùng xác thực hai lớp.";
    NOT_FOUND_TITLE = "Page not found", "Không tìm thấy trang";
    NOT_FOUND = "This page does not exist, or you do not have access to it.", "Trang này không tồn tại hoặc bạn không có quyền truy cập.";
    FOREIGN_FORM_TITLE = "This form has expired", "Biểu mẫu đã hết hạn";
    FOREIGN_FORM = "Nothing was changed. Go back, reload the page and try again.", "Chưa có gì thay đổi. Hãy quay lại, tải lại trang rồi thử lần nữa.";
    BAD_FORM_TITLE = "Invalid form", "Biểu mẫu không hợp lệ";
    BAD_FORM = "The form is too large or malformed. Nothing was changed.", "Biểu mẫu quá lớn hoặc sai định dạng. Chưa có gì thay đổi.";
    TOO_OFTEN_TITLE = "Too many attempts", "Thử quá nhiều lần";
    TOO_OFTEN = "Try again in {seconds} seconds.", "Vui lòng thử lại sau {seconds} giây.";
    OVERLOADED_TITLE = "Temporarily unavailable", "Tạm thời gián đoạn";
    OVERLOADED = "The service is busy or its database is unavailable. Try again in a moment.", "Hệ thống đang bận hoặc cơ sở dữ liệu tạm gián đoạn. Vui lòng thử lại sau giây lát.";
    INTERNAL_TITLE = "Internal error", "Lỗi hệ thống";
    INTERNAL = "The error was logged. When you contact support, quote the X-Request-Id of this response.", "Lỗi đã được ghi lại. Khi liên hệ hỗ trợ, hãy gửi kèm X-Request-Id của phản hồi này.";
}
