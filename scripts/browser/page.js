// The page of an integrator, on another origin than the service. It does what the vendor's own sample page does:
// reads its token's claims with `atob`, draws pictures mirrored on a canvas, uploads the canvas as PNG in a
// data-URL under jQuery's own content type, and then calls the task that the token is for.
//
// `access_token` and `api` stand in its address, and `tries`: for each try the names of the pictures that a camera
// would give, separated by commas; tries are separated by semicolons. Whatever happens is written to
// `window.report`, whose `done` ends the run.
'use strict';

const query = new URLSearchParams(location.search);
const api = query.get('api');
const token = query.get('access_token');
const tries = query.get('tries').split(';').map((names) => names.split(',').filter((name) => name));

window.report = { claims: null, uploads: [], tasks: [], errors: [], done: false };

function log(text, good) {
    $('<li>').text(text).addClass(good ? 'good' : 'bad').appendTo('#log');
}

// What the token demands. Plain `atob`, as the sample page does it: it knows no `-` and no `_`.
function readToken() {
    const claims = JSON.parse(window.atob(token.split('.')[1]));
    window.report.claims = claims;
    const tasks = { 0x00: 'verify', 0x10: 'identify', 0x20: 'enroll', 0x80: 'livenessdetection' };
    return {
        task: tasks[claims.task & 0xf0],
        live: (claims.task & 0x100) !== 0,
        challenges: (claims.task & 0x200) !== 0 ? JSON.parse(claims.challenge) : null,
    };
}

const demanded = readToken();
$('#task').text(demanded.task);
// Outlives the try: the first picture of a later try is sent with the last tag of the one before.
let tag = 'any';

// One picture on the canvas, mirrored, cut to the shape of a portrait: of a wide one the middle, of a tall one the top.
function draw(image) {
    const canvas = document.getElementById('picture');
    const drawing = canvas.getContext('2d');
    const scale = Math.max(canvas.width / image.naturalWidth, canvas.height / image.naturalHeight);
    const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
    drawing.setTransform(-1, 0, 0, 1, canvas.width, 0);
    drawing.drawImage(image, (canvas.width - width) / 2, 0, width, height);
    return canvas.toDataURL();
}

function load(name) {
    return new Promise((resolve, reject) => {
        const image = new Image();
        image.onload = () => resolve(image);
        image.onerror = () => reject(new Error('no picture ' + name));
        image.src = '/pictures/' + name;
    });
}

// What jQuery tells of a call that failed: the status and the reason phrase, and what CORS lets it see.
function failure(jqXHR, textStatus, errorThrown) {
    const seen = { status: jqXHR.status, phrase: errorThrown, body: jqXHR.responseJSON };
    window.report.errors.push(seen);
    log(seen.status + ' ' + seen.phrase, false);
    return seen;
}

function upload(dataUrl, index) {
    return new Promise((resolve, reject) => {
        $.ajax({
            type: 'POST',
            url: api + 'upload?tag=' + tag + '&index=' + index + '&trait=' + query.get('trait'),
            data: dataUrl,
            headers: { Authorization: 'Bearer ' + token },
        }).done((data) => {
            window.report.uploads.push({ index, bytes: dataUrl.length, data });
            if (data.Accepted) {
                // Called as a method, so that an answer without the list fails here as it fails there.
                log('picture ' + index + ' accepted ' + data.Warnings.toString(), true);
            } else {
                log('picture ' + index + ': ' + data.Error, false);
            }
            resolve(data.Accepted);
        }).fail((...why) => reject(failure(...why)));
    });
}

function performTask() {
    return new Promise((resolve, reject) => {
        $.ajax({
            type: 'GET',
            url: api + demanded.task + query.get('parameters'),
            headers: { Authorization: 'Bearer ' + token },
        }).done((data) => {
            window.report.tasks.push(data);
            log(demanded.task + ': ' + JSON.stringify(data), data.Success);
            resolve(data.Success);
        }).fail((...why) => reject(failure(...why)));
    });
}

async function perform(names, failed) {
    const images = await Promise.all(names.map(load));
    const sequence = demanded.challenges ? demanded.challenges[failed] : [];
    const uploads = [];
    images.forEach((image, number) => {
        // The module numbers from 1 in every try.
        uploads.push(upload(draw(image), number + 1));
        tag = sequence[number] || tag;
    });
    const accepted = await Promise.all(uploads);
    // A refused first picture leaves nothing behind; after any other the task call clears the store.
    if (accepted.length > 0 && !accepted[0]) {
        return false;
    }
    return performTask();
}

(async () => {
    try {
        for (const [failed, names] of tries.entries()) {
            if (await perform(names, failed)) {
                break;
            }
        }
    } catch (error) {
        if (error instanceof Error) {
            window.report.errors.push({ status: 0, phrase: String(error) });
            log(String(error), false);
        }
    }
    window.report.done = true;
    document.title = 'done';
})();
