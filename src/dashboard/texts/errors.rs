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
    TOO_MANY_TITLE = "Too many requests at the same time", "Quá nhiều yêu cầu cùng lúc";
    TOO_MANY_READS = "Your account is loading too many pages at the same time. Try again in {seconds} seconds.", "Tài khoản của bạn đang tải quá nhiều trang cùng lúc. Vui lòng thử lại sau {seconds} giây.";
    TOO_MANY_EXPORTS = "Your account already has as many downloads in progress as it can. Wait until one has finished, or stop it, then try again.", "Tài khoản của bạn đã có số lượt tải xuống tối đa. Hãy chờ một lượt hoàn tất hoặc dừng bớt rồi thử lại.";
    EXPORTS_BUSY = "Too many downloads are in progress right now. Try again in {seconds} seconds.", "Hiện có quá nhiều lượt tải xuống. Vui lòng thử lại sau {seconds} giây.";
    QUOTA_TITLE = "Limit reached", "Đã đạt giới hạn";
    QUOTA = "The limit {quota} of {limit} is used up. Try again after {time}. The page Limits shows all of them.", "Đã dùng hết giới hạn {quota} ({limit}). Vui lòng thử lại sau {time}. Trang Giới hạn hiển thị tất cả các giới hạn.";
    SUSPENDED_TITLE = "This account is suspended", "Tài khoản này đang bị tạm khóa";
    SUSPENDED = "A suspended account cannot send, create or change anything. Contact the operator of this gateway.", "Tài khoản bị tạm khóa không thể gửi, tạo hay thay đổi gì. Vui lòng liên hệ đơn vị vận hành cổng này.";
    OVERLOADED_TITLE = "Temporarily unavailable", "Tạm thời gián đoạn";
    OVERLOADED = "The service is busy or its database is unavailable. Try again in a moment.", "Hệ thống đang bận hoặc cơ sở dữ liệu tạm gián đoạn. Vui lòng thử lại sau giây lát.";
    INTERNAL_TITLE = "Internal error", "Lỗi hệ thống";
    INTERNAL = "The error was logged. When you contact support, quote the X-Request-Id of this response.", "Lỗi đã được ghi lại. Khi liên hệ hỗ trợ, hãy gửi kèm X-Request-Id của phản hồi này.";
}
