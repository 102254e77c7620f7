//! What is said where a page is not given.

texts! {
    HOME = "To the dashboard", "Về bảng điều khiển";
    SIGN_IN_TITLE = "Sign in first", "Vui lòng đăng nhập";
    SIGN_IN = "This page is for members.", "Trang này chỉ dành cho thành viên.";
    NOT_FOUND_TITLE = "Nothing here", "Không tìm thấy";
    NOT_FOUND = "There is no such page, or it is not yours.", "Trang này không tồn tại hoặc không thuộc về bạn.";
    FOREIGN_FORM_TITLE = "This form has expired", "Biểu mẫu đã hết hạn";
    FOREIGN_FORM = "It did not come from a page that this browser was given. Nothing was changed: go back, reload the page and try again.", "Biểu mẫu không được gửi từ trang mà trình duyệt này đã mở. Chưa có gì thay đổi: hãy quay lại, tải lại trang rồi thử lần nữa.";
    BAD_FORM_TITLE = "This form cannot be read", "Không đọc được biểu mẫu";
    BAD_FORM = "It is too large, or it is no form. Nothing was changed.", "Biểu mẫu quá lớn hoặc không đúng định dạng. Chưa có gì thay đổi.";
    TOO_OFTEN_TITLE = "Too many attempts", "Quá nhiều lần thử";
    TOO_OFTEN = "Try again in {seconds} s.", "Vui lòng thử lại sau {seconds} giây.";
    OVERLOADED_TITLE = "Busy right now", "Hệ thống đang bận";
    OVERLOADED = "The database is slow or away. Try again in a moment.", "Cơ sở dữ liệu đang chậm hoặc tạm gián đoạn. Vui lòng thử lại sau giây lát.";
    INTERNAL_TITLE = "Something failed on our side", "Đã xảy ra lỗi ở phía chúng tôi";
    INTERNAL = "It was logged. Quote the X-Request-Id of this answer when you ask about it.", "Lỗi đã được ghi lại. Khi cần hỗ trợ, hãy gửi kèm X-Request-Id của phản hồi này.";
}
