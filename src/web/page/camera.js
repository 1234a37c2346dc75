// The camera of the device, and what is said when there is none.

import { t } from './texts.js';
import { frame } from './pictures.js';

// A sight of the head this small tells whether it moves.
const SIGHT_WIDTH = 48;
const SIGHT_HEIGHT = 36;
// How much of the contrast must have changed for a head to have turned, and how long it is waited for.
const MOVED = 0.35;
const MOVE_WAIT_MILLISECONDS = 15_000;
const LOOK_INTERVAL_MILLISECONDS = 80;

// There is no camera, for a reason that a person can do something about.
export class CameraFault extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }

  get text() {
    const texts = {
      insecure: () => t('camera.insecure', { host: location.host }),
      denied: () => t('camera.denied'),
      missing: () => t('camera.missing'),
      busy: () => t('camera.busy'),
      stopped: () => t('camera.stopped'),
      still: () => t('camera.still'),
      failed: () => t('camera.failed'),
    };
    return (texts[this.reason] ?? texts.failed)();
  }
}

function reasonOf(error) {
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'missing';
    case 'NotReadableError':
    case 'AbortError':
      return 'busy';
    default:
      return 'failed';
  }
}

// A camera that shows itself in a video element. `gone` is called if it stops by itself.
export class Camera {
  static async open(gone) {
    if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
      throw new CameraFault('insecure');
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: 'user', width: { ideal: 1280 }, height: { ideal: 720 } },
      });
    } catch (error) {
      throw new CameraFault(reasonOf(error));
    }
    const camera = new Camera(stream);
    try {
      await camera.begin(gone);
    } catch (error) {
      camera.close();
      throw error;
    }
    return camera;
  }

  constructor(stream) {
    this.stream = stream;
    this.isOpen = true;
    this.video = document.createElement('video');
    this.video.muted = true;
    this.video.playsInline = true;
    this.video.setAttribute('aria-label', t('camera.picture'));
  }

  async begin(gone) {
    const [track] = this.stream.getVideoTracks();
    // People know themselves from mirrors; what a camera at the back shows is not mirrored.
    this.isMirrored = track.getSettings().facingMode !== 'environment';
    this.video.classList.toggle('mirrored', this.isMirrored);
    track.addEventListener('ended', () => {
      if (this.isOpen) {
        this.close();
        gone(new CameraFault('stopped'));
      }
    });
    this.video.srcObject = this.stream;
    const playing = this.video.play();
    const late = new Promise((_, reject) => setTimeout(() => reject(new CameraFault('busy')), 10_000));
    try {
      await Promise.race([playing, late]);
    } catch (error) {
      throw error instanceof CameraFault ? error : new CameraFault('failed');
    }
  }

  frame() {
    if (!this.isOpen || !this.video.videoWidth) {
      throw new CameraFault('stopped');
    }
    return frame(this.video);
  }

  // Waits until the head has moved since now.
  async moved(signal) {
    const before = this.sight();
    const end = performance.now() + MOVE_WAIT_MILLISECONDS;
    while (performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MILLISECONDS));
      if (signal.aborted) {
        throw signal.reason;
      }
      if (change(before, this.sight()) > MOVED) {
        return;
      }
    }
    throw new CameraFault('still');
  }

  // The middle of the picture in grey, free of how bright and how rich in contrast it is.
  sight() {
    if (!this.isOpen) {
      throw new CameraFault('stopped');
    }
    const canvas = document.createElement('canvas');
    canvas.width = SIGHT_WIDTH;
    canvas.height = SIGHT_HEIGHT;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const { videoWidth: width, videoHeight: height } = this.video;
    context.drawImage(this.video, width / 4, height / 8, width / 2, height * 3 / 4, 0, 0, SIGHT_WIDTH, SIGHT_HEIGHT);
    const { data } = context.getImageData(0, 0, SIGHT_WIDTH, SIGHT_HEIGHT);
    const grey = [];
    for (let at = 0; at < data.length; at += 4) {
      grey.push(0.3 * data[at] + 0.6 * data[at + 1] + 0.1 * data[at + 2]);
    }
    const mean = grey.reduce((sum, value) => sum + value, 0) / grey.length;
    const spread = Math.sqrt(grey.reduce((sum, value) => sum + (value - mean) ** 2, 0) / grey.length);
    return grey.map((value) => (value - mean) / Math.max(spread, 1));
  }

  close() {
    this.isOpen = false;
    this.stream.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
  }
}

function change(before, after) {
  return before.reduce((sum, value, at) => sum + Math.abs(value - after[at]), 0) / before.length;
}
