//! Texts of the registration behind a link.

texts! {
    // How far one has got.
    steps: "登録の流れ", "Steps";
    step_login: "ログイン", "Log in";
    step_priority: "優先順位", "Priority";
    step_done: "完了", "Done";
    step_finished: "（済み）", "(done)";

    // Landing page: the address, then the login.
    landing_title: "メールアドレスの登録", "Register your email address";
    address_title: "登録するメールアドレス", "Address to be registered";
    address_check: "このアドレスでよいか、お確かめください。ちがうときは、空メールを、登録したいアドレスから送り直してください。", "Please check that this is right. If it is not, send an empty mail again from the address you want to register.";
    login_title: "ログイン", "Log in";
    login_lead: "団体の管理者から受け取ったものを入力してください。パスワードを変更した方は、変更後のものを入力してください。", "Enter what you received from your organisation’s administrator. If you have changed your password, enter the new one.";
    valid_until: "この画面は {time}\u{a0}まで使えます。登録が終わるまで、何も変わりません。", "This page works until {time}. Nothing changes before you finish.";

    // Priority.
    priority_title: "優先順位を選ぶ", "Choose the priority";
    priority_lead: "メールアドレスは3つまで登録できます。連絡は、優先順位1のアドレスから順に送られます。", "You can register up to three addresses. Messages go to priority 1 first, then 2, then 3.";
    priority_advice: "いちばん早く気がつくアドレスを、優先順位1にすることをおすすめします。", "We recommend priority 1 for the address where you notice mail soonest.";
    priority: "優先順位", "Priority";
    priority_number: "優先順位{number}", "Priority {number}";
    slot_free: "まだ登録がありません", "Nothing registered yet";
    slot_taken: "今の登録：", "Now: ";
    slot_own: "このアドレスが登録されています", "This address is registered here";
    already_at: "このアドレスは、優先順位{number}に登録されています。別の番号を選ぶと、そちらへ移ります。", "This address is registered with priority {number}. If you choose another one, it moves there.";
    priority_button: "登録する", "Register";
    priority_empty: "優先順位を1つ選んでください。", "Please choose a priority.";

    // Confirmation where the slot is taken.
    confirm_title: "登録の確認", "Please confirm";
    confirm_lead: "優先順位{number}には、別のアドレスが登録されています。入れ替えてもよろしいですか。", "Another address is registered with priority {number}. Do you want to replace it?";
    confirm_old: "今のアドレス", "Present address";
    confirm_new: "新しいアドレス", "New address";
    confirm_lost: "今のアドレスは登録から外れ、連絡が届かなくなります。", "The present address will be removed and will no longer receive messages.";
    confirm_swapped: "今のアドレスは、優先順位{number}に移ります。", "The present address moves to priority {number}.";
    confirm_button: "入れ替えて登録する", "Replace and register";
    confirm_back: "戻って選び直す", "Go back and choose again";

    // Done.
    done_title: "登録が完了しました", "Your address is registered";
    done_lead: "災害などのとき、このアドレスに連絡が届きます。", "In an emergency you will be reached at this address.";
    done_addresses: "登録されているアドレス", "Your registered addresses";
    done_new: "今回の登録", "registered now";
    done_close: "ログアウトして、この画面を閉じてください。", "Please log out and close this page.";
}
