//! The pages of integrations.

texts! {
    TITLE = "Integrations", "Tích hợp";
    LEAD = "Your auth server sends its codes to us with its own hook. No middleware: choose the server, paste the URL and the secret.", "Máy chủ xác thực của bạn gửi mã thẳng cho chúng tôi bằng hook có sẵn. Không cần lớp trung gian: chọn máy chủ, dán URL và khóa bí mật.";
    COUNT = "{count} of {most} in use", "Đang dùng {count}/{most}";
    NONE = "No integrations yet.", "Chưa có tích hợp nào.";
    NAME = "Name", "Tên";
    NAME_HINT = "To distinguish it from your other integrations", "Để phân biệt với các tích hợp khác của bạn";
    NAME_WRONG = "A name is 1 to 64 characters on one line.", "Tên gồm 1 đến 64 ký tự trên một dòng.";
    KIND = "Auth server", "Máy chủ xác thực";
    KIND_CUSTOM = "Another one with a JSON body", "Máy chủ khác, gửi nội dung JSON";
    LAST_USED = "Last used", "Dùng lần cuối";
    CREATE = "New integration", "Tích hợp mới";
    DO_CREATE = "Create integration", "Tạo tích hợp";
    SECRET = "Secret of the auth server", "Khóa bí mật của máy chủ xác thực";
    SECRET_HINT = "Only if the server makes it itself, as ZITADEL does. Leave it empty for a new one.", "Chỉ nhập khi máy chủ tự tạo khóa, như ZITADEL. Để trống để tạo khóa mới.";
    SECRET_WRONG = "This is no secret of this kind: for Supabase v1,whsec_ and Base64, for others 8 to 256 visible ASCII characters.", "Khóa bí mật không đúng dạng: với Supabase là v1,whsec_ và Base64, với máy chủ khác là 8 đến 256 ký tự ASCII nhìn thấy được.";
    PHONE_POINTER = "JSON pointer to the phone", "Con trỏ JSON tới số điện thoại";
    CODE_POINTER = "JSON pointer to the code", "Con trỏ JSON tới mã";
    POINTER_HINT = "Only for another server; such as {example}", "Chỉ dành cho máy chủ khác; ví dụ {example}";
    POINTERS_WRONG = "Another server needs two JSON pointers, such as /user/phone and /code; the known servers need none.", "Máy chủ khác cần hai con trỏ JSON, ví dụ /user/phone và /code; các máy chủ có sẵn thì để trống.";
    TOO_MANY = "An account can have at most {most} integrations. Remove one first.", "Mỗi tài khoản có tối đa {most} tích hợp. Hãy xóa bớt một tích hợp trước.";
    OPEN = "Open", "Mở";
    SHOWN_ONCE = "The secret. It is shown only once: copy it now.", "Khóa bí mật. Khóa chỉ hiển thị một lần: hãy sao chép ngay.";
    URL = "URL of the hook", "URL của hook";
    PASTE = "What to paste where", "Dán gì vào đâu";
    PLACEHOLDER = "<secret>", "<khóa bí mật>";
    PLACEHOLDER_NOTE = "The secret was shown when the integration was created. If it is lost, create another integration.", "Khóa bí mật đã được hiển thị khi tạo tích hợp. Nếu làm mất, hãy tạo tích hợp khác.";
    FIELD = "Setting", "Thiết lập";
    VALUE = "Value", "Giá trị";
    EMPTY = "empty", "để trống";
    FILE = "File: {name}", "Tệp: {name}";
    TEST = "Send a test", "Gửi thử";
    TEST_LEAD = "We read a body as this server sends it. The sandbox answers: no phone rings and nothing is charged.", "Chúng tôi đọc nội dung đúng như máy chủ này gửi. Hệ thống thử nghiệm trả lời: không điện thoại nào đổ chuông, không bị trừ tiền.";
    TEST_BODY = "The body", "Nội dung";
    REMOVE = "Remove", "Xóa";
    REMOVE_TITLE = "Remove {name}?", "Xóa {name}?";
    REMOVE_TEXT = "Its URL answers 404 within a second, and its secret is deleted. People can no longer sign in through it.", "URL của tích hợp sẽ trả về 404 trong vòng một giây và khóa bí mật bị xóa. Người dùng không thể đăng nhập qua tích hợp này nữa.";
    REMOVED = "The integration was removed.", "Đã xóa tích hợp.";
    ONE_RING = "A repeated request with the same phone and code within 30 seconds gets the same answer: the phone rings once and you pay once.", "Yêu cầu lặp lại với cùng số điện thoại và mã trong 30 giây nhận cùng câu trả lời: điện thoại chỉ đổ chuông một lần và bạn chỉ trả tiền một lần.";

    STEPS_SUPABASE = "In the Supabase dashboard, enable Authentication → Sign In / Providers → Phone, then open Authentication → Hooks, add “Send SMS” and choose HTTPS.", "Trong trang quản trị Supabase, bật Authentication → Sign In / Providers → Phone, rồi mở Authentication → Hooks, thêm “Send SMS” và chọn HTTPS.";
    STEPS_LOGTO = "In the Logto Console, open Connectors → Email and SMS connectors, set up SMS and choose HTTP SMS.", "Trong Logto Console, mở Connectors → Email and SMS connectors, thiết lập SMS và chọn HTTP SMS.";
    STEPS_KRATOS = "Save the template beside kratos.yml, and add the channel to kratos.yml. Kratos' own template drops the codes of sign-in and sign-up.", "Lưu mẫu cạnh kratos.yml và thêm kênh vào kratos.yml. Mẫu có sẵn của Kratos bỏ qua mã đăng nhập và đăng ký.";
    STEPS_ZITADEL = "In the ZITADEL console, open Default Settings → SMS Provider, set the HTTP provider's endpoint and activate it. Under Secret Generator, set phone verification and SMS codes to digits only.", "Trong bảng điều khiển ZITADEL, mở Default Settings → SMS Provider, đặt endpoint của nhà cung cấp HTTP và kích hoạt. Trong Secret Generator, đặt mã xác minh điện thoại và mã SMS chỉ gồm chữ số.";
    STEPS_AUTHENTIK = "In authentik's admin interface, open Flows and Stages → Stages and edit the SMS Authenticator Setup Stage.", "Trong giao diện quản trị authentik, mở Flows and Stages → Stages và sửa SMS Authenticator Setup Stage.";
    STEPS_KEYCLOAK = "For the community's SMS authenticator (netzbegruenung): open the settings of SMS Authentication in your flow. The provider sends a text: under Realm settings → Localization, set smsAuthText to the code alone.", "Dành cho SMS authenticator của cộng đồng (netzbegruenung): mở phần thiết lập SMS Authentication trong flow của bạn. Thành phần này gửi văn bản: trong Realm settings → Localization, đặt smsAuthText chỉ gồm mã.";
    STEPS_AUTH0 = "In the Auth0 dashboard, open Branding → Phone Provider, choose Custom, add the two secrets, paste the code and deploy.", "Trong trang quản trị Auth0, mở Branding → Phone Provider, chọn Custom, thêm hai khóa bí mật, dán mã nguồn và triển khai.";
    STEPS_CUSTOM = "Let your server POST a JSON object to the URL with this header. For Better Auth, the pointers are /phone and /code, and the function below is its sendOTP.", "Cho máy chủ của bạn gửi (POST) một đối tượng JSON tới URL kèm header này. Với Better Auth, hai con trỏ là /phone và /code, và hàm bên dưới là sendOTP của nó.";
}
